//! What the command line says.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Context, ensure};
use clap::builder::RangedI64ValueParser;
use clap::{Parser, ValueEnum, value_parser};
use ota_core::agent::{Plane, Timing};
use ota_core::geometry::BootMode;
use ota_core::version::Version;
use ota_sim::aws::FaultRates;
use ota_sim::https::{HttpFaults, StreamFaults};

use crate::kit::{BootloaderSize, Kit, PolicyName, SecondaryPlace};

/// A whole over-the-air update on this computer: cloud, broker, flash and bootloader included.
///
/// A device that runs version 0.9.0 is offered an update by an AWS IoT stand-in, downloads it over MQTT or HTTPS, verifies it, has
/// MCUboot (a model of it) install it, tests itself, confirms and reports. Exit status 0: the update ended as --expect says.
#[derive(Debug, Parser)]
#[command(max_term_width = 100)]
pub(crate) struct Options {
    /// The update: an image signed by imgtool. Default: one made up from --size and --version
    #[arg(long, value_name = "FILE")]
    pub(crate) image: Option<PathBuf>,
    /// The key --image is signed with, P-256, private or public half. Without it the bootloader checks hashes only
    #[arg(long, value_name = "PEM", requires = "image")]
    pub(crate) image_key: Option<PathBuf>,
    /// Bytes of program in the made-up update. Default: 1048576, or what the slot has room for
    #[arg(long, value_name = "BYTES", value_parser = number)]
    pub(crate) size: Option<u32>,
    /// Version of the made-up update
    #[arg(long, default_value = "1.0.0", value_parser = version)]
    pub(crate) version: Version,
    /// Bytes of a block
    #[arg(long, value_name = "BYTES", default_value = "4096", value_parser = number)]
    pub(crate) block_size: u32,
    /// Blocks the device asks for in a second at most (AWS IoT delivers 100); 0: as many as it can take
    #[arg(long, value_name = "BLOCKS", default_value_t = 1000)]
    pub(crate) blocks_per_second: u16,
    /// Data planes the job offers
    #[arg(long, value_enum, default_value_t = Protocol::Mqtt)]
    pub(crate) protocol: Protocol,
    /// The plane the device takes first where both are offered. Default: mqtt; http where only --http-fault is given
    #[arg(long, value_enum, value_name = "PLANE")]
    pub(crate) prefer: Option<Preferred>,
    /// TLS with broker and file server, with certificates made for this run; off also with --broker
    #[arg(long, value_enum, num_args = 0..=1, require_equals = true, default_value = "on", default_missing_value = "on")]
    pub(crate) tls: Switch,
    /// Memory for one TLS connection only: MQTT is left for at most so long while a range comes over HTTP
    #[arg(long, value_name = "MILLISECONDS")]
    pub(crate) one_session: Option<u32>,
    /// How long a presigned URL is good for
    #[arg(long, value_name = "SECONDS", default_value_t = 1800)]
    pub(crate) url_expires: u64,
    /// The file server closes the connection after so many bytes of one answer
    #[arg(long, value_name = "BYTES")]
    pub(crate) range_limit: Option<u64>,
    /// Blocks and files leave the cloud no faster than this
    #[arg(long, value_name = "BYTES_PER_S")]
    pub(crate) rate: Option<u32>,
    /// die-at=PERCENT: once so much of the file was sent as blocks, no more of it comes over MQTT
    #[arg(long, value_name = "LIST", default_value = "", hide_default_value = true)]
    pub(crate) mqtt_fault: StreamFaults,
    /// die-at=PERCENT: the file server is gone once so much was served; untrusted: its certificate is; and for each of the first requests one of status=N,
    /// busy=SECONDS, redirect=URL, close=BYTES, stall=BYTES, size=BYTES, ignore-range, chunked, encoded, connection-close,
    /// etag, expired
    #[arg(long, value_name = "LIST", default_value = "", hide_default_value = true)]
    pub(crate) http_fault: HttpFaults,
    /// A kit instead of a flash of --slot-size and so on: its flashes, its map, its bootloader
    #[arg(long, value_enum, ignore_case = true, conflicts_with_all = ["slot_size", "sector_size", "write_size", "erased"])]
    pub(crate) kit: Option<Kit>,
    /// Where the secondary slot of a PSoC 62 lies; a PSoC 64 has its policy
    #[arg(long, value_enum, default_value_t = SecondaryPlace::External, requires = "kit")]
    pub(crate) secondary: SecondaryPlace,
    /// Bytes the bootloader of a PSoC 62 takes
    #[arg(long, value_enum, default_value_t = BootloaderSize::Small, requires = "kit")]
    pub(crate) bootloader: BootloaderSize,
    /// The policy a PSoC 64 was provisioned with
    #[arg(long, value_enum, default_value_t = PolicyName::Tfm, requires = "kit")]
    pub(crate) policy: PolicyName,
    /// The update as one TAR file, as the original's PSoC 64 takes it, also for the one image of a PSoC 62
    #[arg(long, requires = "kit", conflicts_with = "image")]
    pub(crate) bundle: bool,
    /// Where the journal lies, an address of the kit's. Default: the work flash of a PSoC 62; a PSoC 64 has no place by itself
    #[arg(long, value_name = "ADDRESS", value_parser = number, requires = "kit")]
    pub(crate) journal: Option<u32>,
    /// How the bootloader installs an update. Default: swap-move; on a kit overwrite, or what its policy says
    #[arg(long, value_enum)]
    pub(crate) boot_mode: Option<Mode>,
    /// What comes of the new image's self test; a test that hangs is given up after 2 s
    #[arg(long, value_enum, default_value_t = SelfTest::Pass)]
    pub(crate) self_test: SelfTest,
    /// Faults on block messages of MQTT in percent, e.g. loss=20,dup=10,reorder=20,flip=1 (also: truncate)
    #[arg(long, value_name = "LIST", default_value = "", hide_default_value = true)]
    pub(crate) fault: FaultRates,
    /// Cut the power in the middle of the device's flash operation of this number, then boot and resume. The first is 0;
    /// --json tells how many there are without a cut
    #[arg(long, value_name = "OPERATION")]
    pub(crate) cut: Option<u32>,
    /// The Wi-Fi is gone for a second once the device holds this much of the file; nothing tells the device
    #[arg(long, value_name = "PERCENT", value_parser = percent())]
    pub(crate) wifi_loss: Option<u32>,
    /// Cancel the job in the cloud once the device holds this much of the file
    #[arg(long, value_name = "PERCENT", value_parser = percent())]
    pub(crate) cancel_at: Option<u32>,
    /// Keep the flash in this file: killed at any time, the same command goes on. Default: in memory
    #[arg(long, value_name = "FILE")]
    pub(crate) flash: Option<PathBuf>,
    /// Use this MQTT broker instead of one in this process
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) broker: Option<String>,
    /// Keys, image, stream and faults follow from it
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Print one JSON object as the last line of standard output
    #[arg(long)]
    pub(crate) json: bool,
    /// Give the device no journal: nothing is remembered over a power cut
    #[arg(long)]
    pub(crate) no_journal: bool,
    /// The outcome that counts as success
    #[arg(long, value_enum, default_value_t = Outcome::Updated)]
    pub(crate) expect: Outcome,
    /// No progress, no table
    #[arg(long)]
    pub(crate) quiet: bool,
    /// Bytes of each of the two slots
    #[arg(long, value_name = "BYTES", default_value = "0x800000", value_parser = number)]
    pub(crate) slot_size: u32,
    /// Bytes of a flash sector
    #[arg(long, value_name = "BYTES", default_value = "4096", value_parser = number)]
    pub(crate) sector_size: u32,
    /// Bytes of a flash write unit, up to 512; above 32 a part that rewrites whole rows, as inside a PSoC 6: overwrite and
    /// swap-status only
    #[arg(long, value_name = "BYTES", default_value = "8", value_parser = number)]
    pub(crate) write_size: u32,
    /// What erased flash reads as: 0 or 0xff
    #[arg(long, value_name = "BYTE", default_value = "0xff", value_parser = erased)]
    pub(crate) erased: u8,
    /// Give up after this many seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    pub(crate) timeout: u64,
}

impl Options {
    /// Refuses faults of a plane the job does not offer: the run would look as if it had survived them.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        let http = self.http_fault != HttpFaults::default() || self.range_limit.is_some();
        ensure!(
            !http || self.protocol != Protocol::Mqtt,
            "--http-fault, --range-limit: nothing comes over HTTP here; add --protocol http or --protocol both"
        );
        ensure!(
            !self.http_fault.is_untrusted || self.has_tls(),
            "--http-fault untrusted: without TLS there is no certificate; leave --tls=off or --broker out"
        );
        let mqtt = self.mqtt_fault != StreamFaults::default() || self.fault != FaultRates::default();
        ensure!(
            !mqtt || self.protocol != Protocol::Http,
            "--mqtt-fault, --fault: no block comes over MQTT here; leave --protocol http out, or make it both"
        );
        Ok(())
    }

    /// How patient the device is.
    pub(crate) fn timing(&self) -> Timing {
        // A loopback needs less patience than the Internet.
        let quick = Timing {
            request_ms: 2_000,
            block_ms: 250,
            retry_ms: 100,
            retry_max_ms: 1_000,
            ..Timing::DEFAULT
        };
        let mut timing = if self.broker.is_none() { quick } else { Timing::DEFAULT };
        if self.self_test == SelfTest::Hang {
            timing.self_test_ms = 2_000;
        }
        timing
    }

    /// Requests in a row without a block before a plane is given up.
    pub(crate) fn useless_max(&self) -> u8 {
        if self.broker.is_none() { 8 } else { 16 }
    }

    /// How long a write may make no progress.
    pub(crate) fn write_timeout_ms(&self) -> u32 {
        if self.broker.is_none() { 1_000 } else { 10_000 }
    }

    /// Whether the device speaks TLS.
    pub(crate) fn has_tls(&self) -> bool {
        self.tls == Switch::On && self.broker.is_none()
    }

    /// The data planes in the order the device takes them.
    pub(crate) fn planes(&self) -> &'static [Plane] {
        let only_http_fails =
            self.http_fault != HttpFaults::default() && self.mqtt_fault == StreamFaults::default();
        match (self.protocol, self.prefer) {
            (Protocol::Mqtt, _) => &[Plane::Mqtt],
            (Protocol::Http, _) => &[Plane::Http],
            (Protocol::Both, Some(Preferred::Http)) => &[Plane::Http, Plane::Mqtt],
            (Protocol::Both, None) if only_http_fails => &[Plane::Http, Plane::Mqtt],
            (Protocol::Both, Some(Preferred::Mqtt) | None) => &[Plane::Mqtt, Plane::Http],
        }
    }

    /// The broker's address, where it is not our own.
    pub(crate) fn broker_address(&self) -> anyhow::Result<Option<SocketAddr>> {
        use std::net::ToSocketAddrs;
        let Some(text) = &self.broker else { return Ok(None) };
        let mut found = text.to_socket_addrs().with_context(|| format!("--broker {text}"))?;
        found.next().with_context(|| format!("--broker {text}: no such host")).map(Some)
    }
}

/// Data planes a job offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Protocol {
    /// Streams over MQTT
    Mqtt,
    /// Ranges of a file behind a presigned URL
    Http,
    /// Either; one goes on where the other gives up
    Both,
}

/// The plane that comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Preferred {
    Mqtt,
    Http,
}

/// On or off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Switch {
    On,
    Off,
}

/// How the bootloader installs an update, in MCUboot's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mode {
    /// Copy over the old image; no way back
    Overwrite,
    /// Exchange the slots through a scratch area
    SwapScratch,
    /// Exchange the slots by moving the old image up one sector
    SwapMove,
    /// Exchange the slots with the new image lying one sector up
    SwapOffset,
    /// Exchange the slots, with a status partition (Infineon)
    SwapStatus,
}

impl From<Mode> for BootMode {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::Overwrite => Self::Overwrite,
            Mode::SwapScratch => Self::SwapScratch,
            Mode::SwapMove => Self::SwapMove,
            Mode::SwapOffset => Self::SwapOffset,
            Mode::SwapStatus => Self::SwapStatus,
        }
    }
}

/// What comes of the self test.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum SelfTest {
    /// The new image works
    Pass,
    /// The new image finds a fault
    Fail,
    /// The new image says nothing
    Hang,
}

/// How an update ends, as the operator sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Outcome {
    /// The new image runs and is confirmed; the job SUCCEEDED
    Updated,
    /// The device did not want it; the job is REJECTED
    Rejected,
    /// The job FAILED
    Failed,
    /// The new image ran and was taken back; the job FAILED
    Reverted,
    /// The cloud took the job back
    Canceled,
}

impl Outcome {
    /// The word in the JSON object.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Updated => "updated",
            Self::Rejected => "rejected",
            Self::Failed => "failed",
            Self::Reverted => "reverted",
            Self::Canceled => "canceled",
        }
    }
}

/// A number in decimal, or in hexadecimal after `0x`.
fn number(text: &str) -> Result<u32, String> {
    let parsed = match text.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16),
        None => text.parse(),
    };
    parsed.map_err(|error| error.to_string())
}

fn percent() -> RangedI64ValueParser<u32> {
    value_parser!(u32).range(0..=100)
}

fn erased(text: &str) -> Result<u8, String> {
    match number(text)? {
        0 => Ok(0),
        0xFF => Ok(0xFF),
        _ => Err("erased flash reads as 0 or 0xff".into()),
    }
}

fn version(text: &str) -> Result<Version, String> {
    Version::parse(text).ok_or("a version is MAJOR.MINOR.REVISION, perhaps +BUILD".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory;
        Options::command().debug_assert();
    }

    #[test]
    fn faults_are_named_percentages() {
        let rates: FaultRates = "loss=20,dup=10,reorder=20,flip=1,truncate=100".parse().unwrap();
        assert_eq!((rates.loss_pct, rates.dup_pct, rates.reorder_pct, rates.flip_pct), (20, 10, 20, 1));
        assert_eq!(rates.truncate_pct, 100);
        for wrong in ["loss", "loss=101", "loss=-1", "loss=a", "rain=1", "loss:1"] {
            assert!(wrong.parse::<FaultRates>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn numbers_may_be_hexadecimal() {
        assert_eq!(number("0xEE000"), Ok(974_848));
        assert_eq!(number("4096"), Ok(4096));
        assert!(number("0x").is_err() && number("ff").is_err() && number("0x100000000").is_err());
        assert!(erased("1").is_err());
    }
}
