//! Numbers that need a processor: a program is run in QEMU and what it prints is read.

use std::{
    collections::BTreeMap,
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context, bail};

pub(crate) const QEMU: &str = "qemu-system-arm";
/// The machine of ARM's application note AN386, a Cortex-M4; one virtual nanosecond an instruction.
const MACHINE: &[&str] = &[
    "-machine",
    "mps2-an386",
    "-cpu",
    "cortex-m4",
    "-nographic",
    "-monitor",
    "none",
    "-icount",
    "shift=0",
    "-semihosting-config",
    "enable=on,target=native",
];
/// Virtual or not, a program that hangs ends some time.
const LIMIT: &str = "120";

/// Whether there is a QEMU here; that there is none is an error in continuous integration only, elsewhere a notice says
/// what is `missed`.
pub(crate) fn is_there(missed: &str) -> anyhow::Result<bool> {
    if Command::new(QEMU).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_err() {
        let required = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        if required("CI") || required("OTA_REQUIRE_ALL") {
            bail!("{QEMU} is not installed: apt-get install {QEMU}");
        }
        eprintln!("notice: no {QEMU} here, so {missed}; apt-get install {QEMU}");
        return Ok(false);
    }
    Ok(true)
}

/// Runs `program`, which prints a name and a number on each line and exits. `None`: there is no QEMU here, and that is no
/// error outside continuous integration.
pub(crate) fn run(program: &Path) -> anyhow::Result<Option<BTreeMap<String, u64>>> {
    if !is_there("stack and instructions are not measured")? {
        return Ok(None);
    }
    let mut command = Command::new("timeout");
    command.arg(LIMIT).arg(QEMU).args(MACHINE).arg("-kernel").arg(program).stdin(Stdio::null());
    let output = command.output().context("cannot start `timeout`")?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("{} in {QEMU} ended with {}: {said}", program.display(), output.status);
    }
    numbers(&String::from_utf8_lossy(&output.stdout)).map(Some)
}

/// Lines of a name and a number.
fn numbers(text: &str) -> anyhow::Result<BTreeMap<String, u64>> {
    text.lines()
        .map(|line| {
            let (name, number) =
                line.trim().split_once(' ').with_context(|| format!("no number in `{line}`"))?;
            Ok((name.to_owned(), number.parse().with_context(|| line.to_owned())?))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_names_and_numbers() {
        let found = numbers("a 1\r\nb 22\n").expect("two lines");
        assert_eq!((found["a"], found["b"], found.len()), (1, 22, 2));
        assert!(numbers("panicked at somewhere").is_err());
    }
}
