//! The two commands of the README's Quick start. CI runs what the README says, so it cannot rot.

use anyhow::{Context, bail};

/// The commands, as a reader would type them.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct QuickStart {
    /// Runs a whole update.
    pub(crate) main_job: String,
    /// Passes all tests.
    pub(crate) tests: String,
}

/// Reads them from the README.
pub(crate) fn quick_start() -> anyhow::Result<QuickStart> {
    let text = std::fs::read_to_string(crate::root().join("README.md")).context("README.md")?;
    parse(&text).context("README.md, section \"Quick start\"")
}

/// Finds the section, its only `sh` block, and the two commands in it. Empty lines and lines of comment are no commands.
fn parse(text: &str) -> anyhow::Result<QuickStart> {
    let mut lines = text.lines().skip_while(|line| line.trim_start_matches('#').trim() != "Quick start");
    if lines.next().is_none() {
        bail!("there is no such section");
    }
    let mut blocks = 0;
    let mut commands = Vec::new();
    let mut inside: Option<bool> = None;
    for line in lines {
        inside = match (inside, line.trim().strip_prefix("```")) {
            (None, Some(language)) => {
                let shell = language.trim() == "sh";
                blocks += usize::from(shell);
                Some(shell)
            }
            (Some(_), Some(_)) => None,
            // The next section.
            (None, None) if line.starts_with('#') => break,
            (None, None) => None,
            (Some(shell), None) => {
                let line = line.trim();
                if shell && !line.is_empty() && !line.starts_with('#') {
                    commands.push(line.to_owned());
                }
                Some(shell)
            }
        };
    }
    if blocks != 1 {
        bail!("it holds {blocks} `sh` blocks, not one");
    }
    let count = commands.len();
    let Ok([main_job, tests]) = <[String; 2]>::try_from(commands) else {
        bail!("its `sh` block holds {count} commands, not two");
    };
    if !main_job.contains("host-update") || !tests.starts_with("cargo test ") {
        bail!("the first command must run `host-update`, the second `cargo test`");
    }
    Ok(QuickStart { main_job, tests })
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "# Title\n```sh\nnot this\n```\n## Quick start\ntext\n```sh\n# an update\ncargo run -p host-update\n\ncargo test --workspace\n```\n```text\nout\n```\n## Next\n```sh\nother\n```\n";

    #[test]
    fn the_two_commands_are_found() {
        let found = parse(GOOD).expect("a good README");
        assert_eq!(found.main_job, "cargo run -p host-update");
        assert_eq!(found.tests, "cargo test --workspace");
    }

    #[test]
    fn anything_else_is_refused() {
        for (from, to, why) in [
            ("## Quick start", "## Start", "no such section"),
            ("\ncargo run -p host-update\n", "\n", "holds 1 commands"),
            ("cargo test --workspace\n", "cargo test --workspace\ncargo bench\n", "holds 3 commands"),
            ("```text", "```sh", "holds 2 `sh` blocks"),
            ("cargo test --workspace", "cargo nextest run", "must run"),
        ] {
            let error = parse(&GOOD.replace(from, to)).expect_err(why);
            assert!(error.to_string().contains(why), "{error} for {why}");
        }
    }
}
