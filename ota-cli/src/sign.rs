//! `ota sign`: MCUboot's signature into an image, or the job document's over a whole file.

mod image;
mod job;

use std::process::ExitCode;

use anyhow::Result;
use clap::Subcommand;

/// Sign an image for MCUboot, or a file for its job.
///
/// An update has both: first `sign image` makes what MCUboot boots, then `sign job` signs that file for delivery.
/// Exit code: 0 signed, 1 refused or failed, 2 wrong arguments.
#[derive(Debug, Subcommand)]
pub(crate) enum Sign {
    Image(image::Image),
    Job(job::Job),
}

impl Sign {
    pub(crate) fn run(self) -> Result<ExitCode> {
        match self {
            Self::Image(image) => image.run(),
            Self::Job(job) => job.run(),
        }
    }
}
