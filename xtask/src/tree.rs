//! One generation of each crate in the library: two of a cipher or a curve would be twice the flash, and twice the trust.

use std::collections::BTreeMap;

use anyhow::{Context, bail};

use crate::{cargo, ci::TARGET};

/// Crates that may be there twice: `embedded-hal` and `nb` by way of traits without code, `syn` on the computer that compiles.
const EXCEPTIONS: &[&str] = &["embedded-hal", "nb", "syn"];

/// Fails if `ota-core` with all features depends on two versions of one crate.
pub(crate) fn run() -> anyhow::Result<()> {
    let mut command = cargo();
    command.args(["tree", "--package=ota-core", "--all-features", "--edges=normal", "--target", TARGET]);
    let output = command.args(["--prefix=none", "--format={p}"]).output().context("cannot start cargo")?;
    if !output.status.success() {
        bail!("cargo tree: {}", String::from_utf8_lossy(&output.stderr));
    }
    let listed = String::from_utf8_lossy(&output.stdout);
    let doubled = doubled(&listed);
    if let Some((name, versions)) = doubled.first() {
        bail!("{name} is there in versions {}; `cargo tree -d` says why", versions.join(" and "));
    }
    println!("one version of each crate");
    Ok(())
}

/// Crates with more than one version in lines of `name vVERSION …`.
fn doubled(listed: &str) -> Vec<(&str, Vec<&str>)> {
    let mut versions: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for line in listed.lines() {
        let mut words = line.split_whitespace();
        if let (Some(name), Some(version)) = (words.next(), words.next()) {
            let known = versions.entry(name).or_default();
            if !known.contains(&version) {
                known.push(version);
            }
        }
    }
    versions.into_iter().filter(|(name, known)| known.len() > 1 && !EXCEPTIONS.contains(name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_versions_are_found_and_repetitions_are_not() {
        let listed =
            "ota-core v0.1.0 (/x)\nsha2 v0.10.9\nnb v0.1.3\nnb v1.1.0\nsha2 v0.10.9 (*)\nsha2 v0.11.0\n";
        assert_eq!(doubled(listed), [("sha2", vec!["v0.10.9", "v0.11.0"])]);
    }
}
