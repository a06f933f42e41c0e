//! What `cargo xtask emulate` can be asked for.

use anyhow::{Context, bail, ensure};
use qemu_board::{PARTS, Part};

use super::{build::Program, number};

pub(crate) const HELP: &str = "usage: cargo xtask emulate [OPTION..]

A whole update on an emulated Cortex-M4: version 1 runs, version 2 is downloaded over TLS, swapped in, tests and confirms itself.

  --protocol mqtt|http|both   how the image comes                                    [mqtt]
  --self-test pass|fail       fail: version 2 finds a fault in itself                [pass]
  --part NAME                 flash part and boot mode of the board                  [nor]
                              nor, offset, s25fl512s, psoc62, psoc62-status
  --kills N                   kill QEMU N times, over as many updates as that takes: first at chosen places (some 35), then at
                              places drawn from the seed
  --bad                       hostile cloud: wrong signatures, images, certificates; faults of the network
  --case TEXT                 of these, only the cases with this text in their names
  --seed N                    all that is drawn follows from it                      [1]
  --count                     one instruction is one nanosecond (QEMU's -icount): makes the counts of instructions true
  --json                      the last line is one JSON object: the update's, with --kills and --bad that of the last one and
                              `kills`, `updates` and `ends` of all
  --quiet                     only the end
  --keep                      leave the working folder behind";

/// How the image comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Mqtt,
    Http,
    Both,
}

impl Protocol {
    /// As `ota serve` wants it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Mqtt => "mqtt",
            Self::Http => "http",
            Self::Both => "mqtt,http",
        }
    }
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Task {
    Update,
    Kills(u32),
    Bad,
}

#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) help: bool,
    pub(crate) task: Task,
    pub(crate) protocol: Protocol,
    pub(crate) self_test_fails: bool,
    pub(crate) part: &'static Part,
    pub(crate) seed: u64,
    pub(crate) count: bool,
    pub(crate) json: bool,
    pub(crate) quiet: bool,
    pub(crate) keep: bool,
    /// Bad input: text in the name of a case.
    pub(crate) case: String,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            help: false,
            task: Task::Update,
            protocol: Protocol::Mqtt,
            self_test_fails: false,
            part: &PARTS[0],
            seed: 1,
            count: false,
            json: false,
            quiet: false,
            keep: false,
            case: String::new(),
        }
    }
}

impl Options {
    /// Version 2 as it is asked for.
    pub(crate) const fn program(&self) -> Program {
        if self.self_test_fails { Program::Broken } else { Program::Second }
    }

    pub(crate) fn parse(words: &[&str]) -> anyhow::Result<Self> {
        let mut options = Self::default();
        let given = |word: &str| words.contains(&word);
        let (bad, kills) = (given("--bad"), given("--kills"));
        ensure!(!(bad && kills), "--bad and --kills are two tasks: run one after the other");
        ensure!(bad || !given("--case"), "--case chooses among the cases of --bad: add --bad");
        for word in ["--protocol", "--self-test"] {
            ensure!(!(bad && given(word)), "{word}: each case of --bad has its own; leave it out");
        }
        let mut words = words.iter();
        while let Some(&word) = words.next() {
            match word {
                "--help" | "-h" => options.help = true,
                "--protocol" => {
                    options.protocol = match words.next().copied() {
                        Some("mqtt") => Protocol::Mqtt,
                        Some("http") => Protocol::Http,
                        Some("both") => Protocol::Both,
                        Some(_) | None => bail!("--protocol wants mqtt, http or both"),
                    }
                }
                "--self-test" => {
                    options.self_test_fails = match words.next().copied() {
                        Some("pass") => false,
                        Some("fail") => true,
                        Some(_) | None => bail!("--self-test wants pass or fail"),
                    }
                }
                "--part" => {
                    let name = words.next().copied().unwrap_or_default();
                    options.part = Part::named(name).with_context(|| format!("--part: no part `{name}`"))?;
                }
                "--kills" => {
                    let count = number(word, words.next())?;
                    ensure!(count > 0, "--kills wants 1 or more; without it nothing is killed");
                    options.task = Task::Kills(count);
                }
                "--case" => {
                    options.case = (*words.next().context("--case wants text")?).to_owned();
                }
                "--bad" => options.task = Task::Bad,
                "--seed" => options.seed = number(word, words.next())?,
                "--count" => options.count = true,
                "--json" => options.json = true,
                "--quiet" => options.quiet = true,
                "--keep" => options.keep = true,
                _ => bail!("no option `{word}`\n\n{HELP}"),
            }
        }
        Ok(options)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read_and_wrong_ones_refused() {
        let options =
            Options::parse(&["--protocol", "both", "--kills", "7", "--seed", "9", "--json"]).unwrap();
        assert_eq!((options.protocol, options.task, options.seed), (Protocol::Both, Task::Kills(7), 9));
        assert!(options.json && !options.quiet);
        let options = Options::parse(&["--bad", "--case", "older", "--part", "psoc62"]).unwrap();
        assert_eq!((options.task, &*options.case), (Task::Bad, "older"));
        for part in &PARTS {
            assert_eq!(Options::parse(&["--part", part.name]).unwrap().part, part);
            assert!(HELP.contains(part.name));
        }
        for wrong in [
            &["--protocol"][..],
            &["--protocol", "ftp"],
            &["--kills", "x"],
            &["--kills"],
            &["--kills", "0"],
            &["--part", "x"],
            &["--bad", "--case"],
            &["x"],
            // What would be done in silence without one of the two.
            &["--bad", "--kills", "3"],
            &["--kills", "3", "--bad"],
            &["--case", "older"],
            &["--bad", "--protocol", "http"],
            &["--self-test", "fail", "--bad"],
        ] {
            assert!(Options::parse(wrong).is_err(), "{wrong:?}");
        }
    }
}
