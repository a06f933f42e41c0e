//! What is told at the end: a table for people, an object for scripts.

use std::time::Duration;

use anyhow::ensure;
use ota_core::agent::Statistics;
use ota_sim::mcuboot::ImageRecord;
use serde_json::{Value, json};

use crate::board::Board;
use crate::cloud::JobEnd;
use crate::options::{Options, Outcome};
use crate::update::Update;

/// Counters over all boots of this process.
#[derive(Default)]
pub(crate) struct Totals {
    pub(crate) requests: u32,
    /// Ranges asked for over HTTP.
    pub(crate) ranges: u32,
    pub(crate) url_refreshes: u32,
    /// Bytes of the file that left the file server.
    pub(crate) http_bytes: u64,
    pub(crate) blocks_received: u32,
    /// How many of them came over HTTP.
    pub(crate) range_blocks: u32,
    pub(crate) duplicates: u32,
    pub(crate) dropped: u32,
    pub(crate) resumed_blocks: u32,
    /// Times the firmware was started.
    pub(crate) boots: u32,
    /// Resets the firmware asked for.
    pub(crate) reboots: u32,
    /// In which operation the power failed.
    pub(crate) power_cut: Option<String>,
}

impl Totals {
    /// Adds what one run of the agent counted.
    pub(crate) fn add(&mut self, statistics: &Statistics) {
        self.requests += statistics.block_requests;
        self.ranges += statistics.ranges;
        self.url_refreshes += statistics.url_refreshes;
        self.blocks_received += statistics.blocks_received;
        self.range_blocks += statistics.range_blocks;
        self.duplicates += statistics.duplicates;
        self.dropped += statistics.dropped;
        self.resumed_blocks += statistics.resumed_blocks;
    }
}

/// The end of an update.
pub(crate) struct Report<'a> {
    pub(crate) options: &'a Options,
    pub(crate) update: &'a Update,
    pub(crate) board: &'a Board,
    pub(crate) totals: &'a Totals,
    pub(crate) end: &'a JobEnd,
    /// What runs after one more power cycle, image by image.
    pub(crate) running: Vec<ImageRecord>,
    pub(crate) time: Duration,
}

impl Report<'_> {
    /// Prints what the options ask for, the object last. An error when the update did not end as asked for.
    pub(crate) fn tell(&self) -> anyhow::Result<()> {
        if !self.options.quiet {
            println!("{}", self.table());
        }
        if self.options.json {
            println!("{}", self.json());
        }
        self.check()
    }

    /// The job's status and what boots agree, and the outcome is the one asked for.
    fn check(&self) -> anyhow::Result<()> {
        let new = self.running.iter().zip(&self.update.hashes).map(|(image, hash)| *hash == Some(image.hash));
        let new: Vec<bool> = new.collect();
        ensure!(new.iter().all(|it| *it == new[0]), "some images are new and some old: {}", self.versions());
        let new_runs = new[0];
        let (outcome, expected) = (self.end.outcome(), self.options.expect);
        let agree = match outcome {
            Outcome::Updated => new_runs,
            Outcome::Rejected | Outcome::Reverted | Outcome::Canceled => !new_runs,
            // A test that fails with no way back leaves the new image running, and says so.
            Outcome::Failed => new_runs == (self.end.cause() == "self_test_failed_no_revert"),
        };
        ensure!(agree, "the job says {}, but version {} runs", self.end.status, self.versions());
        let (is, asked) = (outcome.name(), expected.name());
        ensure!(outcome == expected, "the outcome is {is}, asked for was {asked}");
        Ok(())
    }

    fn blocks(&self) -> usize {
        let size = self.options.block_size.max(1) as usize;
        self.update.files.iter().map(|file| file.len().div_ceil(size)).sum()
    }

    fn versions(&self) -> String {
        let versions: Vec<_> = self.running.iter().map(|image| image.version.to_string()).collect();
        versions.join(", ")
    }

    /// For people.
    fn table(&self) -> String {
        let (totals, download) = (self.totals, self.board.download());
        let (journal, confirm) = self.board.journal_and_confirm();
        let bootloader = self.board.bootloader();
        let (busy, longest) = self.board.busy_ms();
        let seconds = self.time.as_secs_f64();
        let cut = totals.power_cut.as_ref().map_or_else(String::new, |cut| format!(", power cut in a {cut}"));
        let rows = [
            ("job", format!("{}: {} ({})", self.update.job_id, self.end.status, self.end.reason)),
            ("board", self.board.plan.name.to_owned()),
            ("runs now", format!("version {}", self.versions())),
            (
                "file",
                format!(
                    "{} bytes, {} blocks of {}",
                    self.update.size(),
                    self.blocks(),
                    self.options.block_size
                ),
            ),
            (
                "requests",
                format!(
                    "{} for blocks, {} for ranges, {} for fresh URLs",
                    totals.requests, totals.ranges, totals.url_refreshes
                ),
            ),
            (
                "received",
                format!(
                    "{} blocks, {} of them over HTTP, {} resumed",
                    totals.blocks_received, totals.range_blocks, totals.resumed_blocks
                ),
            ),
            ("dropped", format!("{} messages, {} of them duplicates", totals.dropped, totals.duplicates)),
            (
                "secondary",
                format!(
                    "{} erases, at most {} of one sector, {} bytes written",
                    download.counters.erases, download.max_erases_per_sector, download.counters.bytes_written
                ),
            ),
            ("journal", format!("{} writes, {} erases", journal.writes, journal.erases)),
            ("confirm", format!("{} writes, {} erases", confirm.writes, confirm.erases)),
            (
                "bootloader",
                format!("{} erases, {} bytes written", bootloader.erases, bootloader.bytes_written),
            ),
            ("flash busy", format!("{busy} ms by the parts' typical times, {longest} ms at once")),
            ("reboots", format!("{}{cut}", totals.reboots)),
            ("time", format!("{seconds:.2} s")),
        ];
        let line = |(name, value): &(&str, String)| format!("{name:<11} {value}\n");
        format!("\n{}\n{}", self.end.outcome().name(), rows.iter().map(line).collect::<String>())
    }

    /// For scripts.
    fn json(&self) -> Value {
        let (totals, download) = (self.totals, self.board.download());
        let (journal, confirm) = self.board.journal_and_confirm();
        let bootloader = self.board.bootloader();
        let (busy, longest) = self.board.busy_ms();
        json!({
            "outcome": self.end.outcome().name(),
            "job_status": self.end.status,
            "reason": self.end.cause(),
            "reason_detail": self.end.reason,
            "running_version": self.running[0].version.to_string(),
            "running_versions": self.running.iter().map(|image| image.version.to_string()).collect::<Vec<_>>(),
            "board": self.board.plan.name,
            "flash_busy_ms": busy,
            "flash_busy_at_once_ms": longest,
            "job_id": self.update.job_id,
            "file_size": self.update.size(),
            "block_size": self.options.block_size,
            "blocks": self.blocks(),
            "requests": totals.requests,
            "ranges": totals.ranges,
            "url_refreshes": totals.url_refreshes,
            "blocks_received": totals.blocks_received,
            "blocks_over_mqtt": totals.blocks_received - totals.range_blocks,
            "blocks_over_http": totals.range_blocks,
            "http_bytes_sent": totals.http_bytes,
            "tls": self.options.has_tls(),
            "duplicates": totals.duplicates,
            "dropped": totals.dropped,
            "resumed_blocks": totals.resumed_blocks,
            "erases": download.counters.erases,
            "max_erases_per_sector": download.max_erases_per_sector,
            "bytes_written": download.counters.bytes_written,
            "journal_writes": journal.writes,
            "journal_erases": journal.erases,
            "confirm_writes": confirm.writes,
            "bootloader_erases": bootloader.erases,
            "bootloader_bytes_written": bootloader.bytes_written,
            "reboots": totals.reboots,
            "power_cut": totals.power_cut,
            "flash_operations": self.board.operations(),
            "flash_violations": self.board.violations(),
            "time_ms": u64::try_from(self.time.as_millis()).unwrap_or(u64::MAX),
        })
    }
}
