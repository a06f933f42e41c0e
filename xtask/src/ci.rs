//! The list of stages. `.ci/run` calls it after installing what it needs.

use crate::{
    cargo, emulate, firmware, readme, sizes,
    stage::{self, Beside, Stage, Times},
    tidy, tree,
};

/// The processor of the kits.
pub(crate) const TARGET: &str = "thumbv7em-none-eabihf";

/// Every set of features of `ota-core` that is built and checked, in the words of cargo's command line.
const FEATURE_SETS: &[&[&str]] = &[
    &[],
    &["--features=bundle"],
    &["--features=mqtt"],
    &["--features=http"],
    &["--features=nal"],
    &["--features=tls"],
    &["--features=rsa"],
    &["--all-features"],
];

/// What a library that promises not to panic may not contain. Tests are not part of the check, and an exception says
/// `#[allow(.., reason = "..")]`.
const NO_PANIC: &[&str] = &[
    "-Dclippy::unwrap_used",
    "-Dclippy::expect_used",
    "-Dclippy::panic",
    "-Dclippy::unreachable",
    "-Dclippy::todo",
    "-Dclippy::unimplemented",
];

/// What ends at once, so that a mistake is told before anything long is started.
const QUICK: &[Stage] = &[
    Stage { name: "tidy", run: tidy::run },
    Stage { name: "fmt", run: fmt },
    Stage { name: "tree", run: tree::run },
];

/// What cargo builds in the workspace's own folder.
const WORKSPACE: &[Stage] = &[
    Stage { name: "clippy", run: clippy },
    Stage { name: "doc", run: doc },
    Stage { name: "target", run: target },
    Stage { name: "main job", run: main_job },
    Stage { name: "benches", run: benches },
    Stage { name: "test build", run: test_build },
];

/// What is linked for the kits' processor has folders of its own, and a fat LTO keeps one core busy: these stages run beside those
/// of the workspace.
const LINKED: &[Stage] = &[
    Stage { name: "sizes", run: || sizes::run(false) },
    Stage { name: "firmware", run: firmware::stage },
    Stage { name: "emulate", run: emulate::stage },
];

/// The tests come last and alone: some of them look at the clock, and the runner's summary ends the run.
const TESTS: &str = "tests";

fn stages() -> impl Iterator<Item = &'static Stage> {
    [QUICK, WORKSPACE, LINKED].into_iter().flatten()
}

/// Names a caller may ask for.
pub(crate) fn stage_names() -> Vec<&'static str> {
    stages().map(|stage| stage.name).chain([TESTS]).collect()
}

/// Runs all stages, or only those named, one after the other. The last thing printed is the test runner's summary.
pub(crate) fn run(only: &[&str]) -> anyhow::Result<()> {
    if let Some(unknown) = only.iter().find(|name| !stage_names().contains(name)) {
        anyhow::bail!("no stage `{unknown}`; there are: {}", stage_names().join(", "));
    }
    let mut times = Times::default();
    let passed = if only.is_empty() {
        all_but_tests(&mut times)
    } else {
        times.run(stages().filter(|stage| only.contains(&stage.name)))
    };
    let tested = passed.and_then(|()| {
        let chosen = only.is_empty() || only.contains(&TESTS);
        chosen.then(|| times.measure(TESTS, || stage::run_tests(&readme::quick_start()?.tests))).transpose()
    });
    times.print();
    if let Some(summary) = tested? {
        summary.print();
    }
    Ok(())
}

fn all_but_tests(times: &mut Times) -> anyhow::Result<()> {
    times.run(QUICK)?;
    let linked = Beside::start(LINKED)?;
    let workspace = times.run(WORKSPACE);
    // What ran beside is shown even if something else has failed; the time in the table is what it took longer.
    let linked = times.measure("beside", || linked.finish());
    workspace.and(linked)
}

fn fmt() -> anyhow::Result<()> {
    stage::run(cargo().args(["fmt", "--all", "--check"]))?;
    // Not members of the workspace: they build for the kits' processor only.
    stage::run(cargo().args(["fmt", "--check", "--manifest-path", sizes::PROBE_MANIFEST]))?;
    stage::run(cargo().args(["fmt", "--all", "--check", "--manifest-path", emulate::MANIFEST]))?;
    firmware::fmt()
}

fn clippy() -> anyhow::Result<()> {
    stage::run(cargo().args(["clippy", "--workspace", "--all-targets", "--", "-Dwarnings"]))?;
    for set in FEATURE_SETS {
        let mut command = cargo();
        command.args(["clippy", "--package=ota-core", "--lib"]).args(*set);
        stage::run(command.args(["--", "-Dwarnings"]).args(NO_PANIC))?;
    }
    Ok(())
}

fn doc() -> anyhow::Result<()> {
    // A link to what only a feature brings breaks where that feature is off. All of it last: that is what stays to be read.
    for set in [
        &["--lib", "--package=ota-core"][..],
        &["--lib", "--package=ota-psoc6"],
        &["--lib", "--package=ota-sim", "--no-default-features"],
        &["--workspace", "--all-features"],
    ] {
        stage::run(cargo().args(["doc", "--no-deps"]).args(set).env("RUSTDOCFLAGS", "-Dwarnings"))?;
    }
    Ok(())
}

fn target() -> anyhow::Result<()> {
    for set in FEATURE_SETS {
        stage::run(cargo().args(["build", "--target", TARGET, "--package=ota-core"]).args(*set))?;
    }
    // The flash double and the MCUboot model also run on a board.
    stage::run(cargo().args(["build", "--target", TARGET, "--package=ota-sim", "--no-default-features"]))?;
    // The board crates have code that exists on the chip only; a warning there is an error.
    let boards = ["--package=ota-psoc6", "--package=ota-psoc64"];
    stage::run(cargo().args(["clippy", "--target", TARGET]).args(boards).args(["--", "-Dwarnings"]))?;
    let features = ["--features=ota-psoc6/time,ota-psoc6/wifi", "--", "-Dwarnings"];
    stage::run(cargo().args(["clippy", "--target", TARGET, "--package=ota-psoc6"]).args(features))
}

fn main_job() -> anyhow::Result<()> {
    shell(&readme::quick_start()?.main_job)
}

/// Builds what the tests run, as long as there is something to run beside it.
fn test_build() -> anyhow::Result<()> {
    shell(&format!("{} --no-run", readme::quick_start()?.tests))
}

fn shell(line: &str) -> anyhow::Result<()> {
    stage::run(std::process::Command::new("sh").args(["-c", line]).current_dir(crate::root()))
}

/// Runs each bench once, as a test of the bench.
fn benches() -> anyhow::Result<()> {
    stage::run(cargo().args(["test", "--package=ota-benches", "--benches"]))
}
