//! Stages: run one after the other, each timed, the first failure ends the run. A second row of them may run beside.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader, Write},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};

use crate::target_folder;

/// One entry of the list in `ci.rs`.
pub(crate) struct Stage {
    /// What the table of times and the command line call it.
    pub(crate) name: &'static str,
    /// The work.
    pub(crate) run: fn() -> anyhow::Result<()>,
}

/// Runs `command` with its output on ours; fails if it fails.
pub(crate) fn run(command: &mut Command) -> anyhow::Result<()> {
    println!("$ {}", show(command));
    quietly(command)
}

/// [`run`] for a task whose own output is all that may be on the screen.
pub(crate) fn quietly(command: &mut Command) -> anyhow::Result<()> {
    let shown = show(command);
    let status = command.stdin(Stdio::null()).status().with_context(|| format!("cannot start `{shown}`"))?;
    if !status.success() {
        bail!("`{shown}` ended with {status}");
    }
    Ok(())
}

fn show(command: &Command) -> String {
    let mut words = vec![if command.get_program().to_string_lossy().ends_with("cargo") {
        "cargo".to_owned()
    } else {
        command.get_program().to_string_lossy().into_owned()
    }];
    words.extend(command.get_args().map(|word| word.to_string_lossy().into_owned()));
    words.join(" ")
}

/// What the test runner said, kept back so that it can be the last thing on the screen.
#[derive(Default)]
pub(crate) struct Summary {
    lines: Vec<String>,
    suite: Option<String>,
    /// Tests that passed.
    pub(crate) passed: u64,
}

impl Summary {
    /// Takes one line of the runner's output; `true` if it was kept back.
    ///
    /// The result of a suite in which nothing ran is not worth keeping back: doc tests of a crate without any would
    /// otherwise have the last word.
    fn keep(&mut self, line: &str) -> bool {
        let text = line.trim_start();
        if text.starts_with("Running ") || text.starts_with("Doc-tests ") {
            self.suite = Some(line.to_owned());
            return false;
        }
        let Some(result) = text.strip_prefix("test result: ") else { return false };
        let count = |word: &str| -> u64 {
            result
                .split([';', '.'])
                .filter_map(|part| part.trim().strip_suffix(word)?.trim().parse().ok())
                .next()
                .unwrap_or(0)
        };
        let ran = count("passed") + count("failed");
        if ran == 0 {
            return false;
        }
        self.passed += count("passed");
        self.lines.extend(self.suite.take());
        self.lines.push(line.to_owned());
        true
    }

    /// Prints what was kept back, as the runner wrote it.
    pub(crate) fn print(&self) {
        for line in &self.lines {
            println!("{line}");
        }
    }
}

/// Runs a test command line in a shell and shows its output as it comes, all but the results of the suites, which are
/// returned.
pub(crate) fn run_tests(line: &str) -> anyhow::Result<Summary> {
    println!("$ {line}");
    // One pipe for both streams keeps "Running .." and its results in order.
    let mut child = Command::new("sh")
        .args(["-c", &format!("{{ {line}\n}} 2>&1")])
        .current_dir(crate::root())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start a shell")?;
    let mut summary = Summary::default();
    if let Some(output) = child.stdout.take() {
        for bytes in BufReader::new(output).split(b'\n') {
            let bytes = bytes?;
            let text = String::from_utf8_lossy(&bytes);
            if !summary.keep(&text) {
                println!("{text}");
            }
        }
    }
    let status = child.wait()?;
    if !status.success() {
        summary.print();
        bail!("`{line}` ended with {status}");
    }
    if summary.passed == 0 {
        bail!("`{line}` ran no test");
    }
    Ok(summary)
}

/// Stages that run beside others, in a process of their own. Their output goes to a file and is shown whole at the end.
pub(crate) struct Beside {
    process: Child,
    output: PathBuf,
}

impl Beside {
    /// Starts this program again for `stages`.
    pub(crate) fn start(stages: &[Stage]) -> anyhow::Result<Self> {
        let output = target_folder().join("beside.log");
        let file = File::create(&output).with_context(|| output.display().to_string())?;
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("ci").args(stages.iter().map(|stage| stage.name));
        println!("\nbeside what follows: {} (as it runs, in {})", show(&command), output.display());
        command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        Ok(Self { process: command.spawn()?, output })
    }

    /// Waits for the end and shows what was said.
    pub(crate) fn finish(mut self) -> anyhow::Result<()> {
        let status = self.process.wait()?;
        print!("{}", String::from_utf8_lossy(&fs::read(&self.output)?));
        ensure!(status.success(), "the stages beside ended with {status}");
        Ok(())
    }
}

/// Stage times, as a table.
#[derive(Default)]
pub(crate) struct Times(Vec<(&'static str, Duration, bool)>);

impl Times {
    /// Runs stages until one fails.
    pub(crate) fn run(&mut self, stages: impl IntoIterator<Item = &'static Stage>) -> anyhow::Result<()> {
        stages.into_iter().try_for_each(|stage| self.measure(stage.name, stage.run))
    }

    /// Runs one stage and notes how long it took, also when it fails.
    pub(crate) fn measure<T>(
        &mut self,
        name: &'static str,
        work: impl FnOnce() -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        println!("\n=== {name}");
        let started = Instant::now();
        let result = work();
        self.0.push((name, started.elapsed(), result.is_ok()));
        result.with_context(|| format!("stage `{name}`"))
    }

    /// Prints the table.
    pub(crate) fn print(&self) {
        println!("\n{:<12}  {:>9}", "stage", "time");
        for (name, time, passed) in &self.0 {
            let note = if *passed { "" } else { "  FAILED" };
            println!("{name:<12}  {:>7.1} s{note}", time.as_secs_f64());
        }
        let total: Duration = self.0.iter().map(|(_, time, _)| *time).sum();
        println!("{:<12}  {:>7.1} s\n", "all", total.as_secs_f64());
        // What follows may come from another process.
        let _ = std::io::stdout().flush();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_kept_back_with_their_suite_and_empty_suites_are_not() {
        let mut summary = Summary::default();
        let output = [
            ("     Running unittests src/lib.rs (target/debug/deps/a)", false),
            ("running 2 tests", false),
            (
                "test result: ok. 2 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s",
                true,
            ),
            ("   Doc-tests ota_core", false),
            (
                "test result: ok. 0 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s",
                false,
            ),
            ("     Running tests/b.rs (target/debug/deps/b)", false),
            ("test result: FAILED. 40 passed; 3 failed; 0 ignored; 0 measured; 0 filtered out", true),
        ];
        for (line, kept) in output {
            assert_eq!(summary.keep(line), kept, "{line}");
        }
        assert_eq!(summary.passed, 42);
        assert_eq!(summary.lines, [output[0].0, output[2].0, output[5].0, output[6].0]);
    }

    #[test]
    fn a_command_without_tests_and_a_failing_one_are_errors() {
        assert!(run_tests("true").is_err());
        assert!(run_tests("echo 'test result: FAILED. 1 passed; 1 failed'; false").is_err());
        assert!(run_tests("false").is_err());
        let passed = run_tests("echo 'test result: ok. 3 passed; 0 failed'").map(|summary| summary.passed);
        assert_eq!(passed.ok(), Some(3));
    }

    #[test]
    fn what_runs_beside_fails_if_its_process_does_or_has_said_nothing() {
        let output = std::env::temp_dir().join(format!("xtask-beside-{}", std::process::id()));
        let ends = |program: &str| {
            let process = Command::new(program).spawn().expect("a shell's own command");
            Beside { process, output: output.clone() }.finish().is_ok()
        };
        assert!(!ends("true"), "there is no output");
        File::create(&output).expect("a file in the folder for them");
        assert!(ends("true"));
        assert!(!ends("false"));
        fs::remove_file(&output).expect("it was there");
    }

    #[test]
    fn a_failed_stage_is_in_the_table_and_ends_the_run() {
        let mut times = Times::default();
        assert!(times.measure("good", || Ok(())).is_ok());
        let error = times.measure("bad", || -> anyhow::Result<()> { bail!("no") });
        assert_eq!(format!("{:#}", error.unwrap_err()), "stage `bad`: no");
        assert_eq!(
            times.0.iter().map(|(name, _, ok)| (*name, *ok)).collect::<Vec<_>>(),
            [("good", true), ("bad", false)]
        );
    }
}
