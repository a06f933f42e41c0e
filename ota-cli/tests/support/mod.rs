//! Runs the tool in a folder of its own.
#![allow(dead_code, reason = "each test binary uses its part")]

use std::path::PathBuf;
use std::process::{Command, Stdio};

pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// A folder that is gone after the test; names of files are relative to it.
pub(crate) struct Desk(tempfile::TempDir);

impl Desk {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().expect("folder"))
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn put(&self, name: &str, content: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), content).expect("written");
    }

    pub(crate) fn get(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).expect("read")
    }

    pub(crate) fn run(&self, program: &str, arguments: &str) -> Ended {
        // Arguments stand between spaces; a ~ stands for a space inside one.
        let arguments = arguments.split_whitespace().map(|argument| argument.replace('~', " "));
        let output = Command::new(program)
            .args(arguments)
            .current_dir(self.0.path())
            .stdin(Stdio::null())
            .output()
            .expect("runs");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
        Ended {
            code: output.status.code().expect("no signal"),
            out: text(output.stdout),
            err: text(output.stderr),
        }
    }

    pub(crate) fn ota(&self, arguments: &str) -> Ended {
        self.run(env!("CARGO_BIN_EXE_ota"), arguments)
    }

    /// Runs and must succeed; gives what was printed.
    pub(crate) fn ok(&self, arguments: &str) -> String {
        let ended = self.ota(arguments);
        assert_eq!(ended.code, 0, "{arguments}: {}{}", ended.out, ended.err);
        ended.out
    }

    /// Runs and must end with this code, saying these words.
    pub(crate) fn refused(&self, arguments: &str, code: i32, words: &str) {
        let ended = self.ota(arguments);
        assert_eq!(ended.code, code, "{arguments}: {}{}", ended.out, ended.err);
        assert!(ended.err.contains(words), "{arguments}: no `{words}` in {}", ended.err);
    }
}

/// Runs with --json and must end with `code`.
pub(crate) fn json(desk: &Desk, arguments: &str, code: i32) -> serde_json::Value {
    let ended = desk.ota(&format!("inspect --json {arguments}"));
    assert_eq!(ended.code, code, "{arguments}: {}{}", ended.out, ended.err);
    serde_json::from_str(&ended.out).expect("JSON")
}

/// Lines with these words, in this order.
pub(crate) fn says(text: &str, words: &[&str]) {
    let mut lines = text.lines();
    for word in words {
        assert!(lines.any(|line| line.contains(word)), "no `{word}` where expected in\n{text}");
    }
}

/// A tool that is not installed is a failure where everything must run, and a notice elsewhere.
pub(crate) fn missing(tool: &str) {
    let must = |name| std::env::var_os(name).is_some();
    assert!(!must("CI") && !must("OTA_REQUIRE_ALL"), "{tool} is not installed");
    // Written past the test runner's capture, so that it is seen.
    let _ = std::io::Write::write_all(
        &mut std::io::stderr(),
        format!("NOTICE: {tool} is not installed, nothing compared\n").as_bytes(),
    );
}
