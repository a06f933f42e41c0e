//! Runs the binary.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// Blocks between two journal records, `Config::record_blocks` as `Config::new` sets it.
pub(crate) const RECORD_BLOCKS: u64 = 16;

/// The binary with arguments as one would type them.
pub(crate) fn command(arguments: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_host-update"));
    // A hanging update ends long before the test runner's patience.
    command.args(["--json", "--timeout", "60"]).args(arguments.split_whitespace());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// What a finished process left.
pub(crate) struct End {
    pub(crate) ok: bool,
    pub(crate) report: Value,
    pub(crate) stderr: String,
    said: String,
}

impl End {
    pub(crate) fn of(output: &Output) -> Self {
        let stdout = String::from_utf8_lossy(&output.stdout);
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        let last = stdout.lines().last().unwrap_or_default();
        let report = serde_json::from_str(last).unwrap_or(Value::Null);
        let said = format!("exit {:?}\n{stdout}\n{stderr}", output.status.code());
        Self { ok: output.status.success(), report, stderr, said }
    }

    pub(crate) fn text(&self, key: &str) -> &str {
        self.report[key].as_str().unwrap_or_else(|| panic!("no text `{key}`\n{}", self.said))
    }

    pub(crate) fn number(&self, key: &str) -> u64 {
        self.report[key].as_u64().unwrap_or_else(|| panic!("no number `{key}`\n{}", self.said))
    }

    /// Outcome, job status, reason and running version at once, and that no flash rule was broken on the way.
    #[track_caller]
    pub(crate) fn ends(&self, outcome: &str, status: &str, reason: &str, version: &str) {
        let seen = (
            self.text("outcome"),
            self.text("job_status"),
            self.text("reason"),
            self.text("running_version"),
        );
        assert_eq!(seen, (outcome, status, reason, version), "{}", self.said);
        assert_eq!(self.number("flash_violations"), 0, "{}", self.said);
    }

    /// The usual end.
    #[track_caller]
    pub(crate) fn is_updated(&self) {
        assert!(self.ok, "{}", self.said);
        self.ends("updated", "SUCCEEDED", "accepted v1.0.0", "1.0.0");
    }

    /// The usual end, or, where the power failed while the new image was on trial, the old image and the truth about it.
    #[track_caller]
    pub(crate) fn is_updated_or_reverted(&self) {
        match self.text("outcome") {
            "reverted" => self.ends("reverted", "FAILED", "reverted", "0.9.0"),
            _updated => self.is_updated(),
        }
    }

    /// Every byte was written once and every sector erased once.
    #[track_caller]
    pub(crate) fn nothing_twice(&self) {
        assert_eq!(self.number("blocks_received"), self.number("blocks"), "{}", self.said);
        assert_eq!(self.number("max_erases_per_sector"), 1, "{}", self.said);
        // The default flash writes units of 8 bytes.
        let file = self.number("file_size").next_multiple_of(8);
        assert_eq!(self.number("bytes_written"), file, "{}", self.said);
    }
}

/// Runs the binary to its end.
pub(crate) fn run(arguments: &str) -> End {
    End::of(&command(arguments).output().unwrap())
}

/// [`run`] with `--flash`, which may hold spaces.
pub(crate) fn run_on(flash: &Path, arguments: &str) -> End {
    End::of(&command(arguments).arg("--flash").arg(flash).output().unwrap())
}
