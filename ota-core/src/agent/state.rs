//! Where a job can stand.

use super::clock::Wait;
use crate::status::Reason;

/// Where the job stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// The boot state of every image and the journal are being read.
    Booting {
        /// Images inspected.
        inspected: u8,
    },
    /// No job is held.
    Idle,
    /// A job of another kind: the application is asked what it makes of it.
    Custom,
    /// A job is held. Its document may still be on its way; policy has not said yes yet.
    Offered,
    /// The file's first block is fetched and judged; its slot is not touched.
    Judging,
    /// Blocks are fetched and written.
    Downloading,
    /// Flash holds the whole file; it is hashed to its end and verified.
    Verifying,
    /// Every file is verified; the cloud is told and has to accept.
    Verified,
    /// The cloud has accepted; policy is asked.
    Ready,
    /// The swap is requested, image by image.
    Activating {
        /// The file.
        file: u8,
    },
    /// The swap is requested; one last look at the job, then reset.
    Pending,
    /// The request for a swap is taken back, image by image.
    Withdrawing {
        /// The image.
        image: u8,
        /// What to report; `None`: the job is gone.
        reason: Option<Reason>,
    },
    /// The new image runs and is tested.
    Testing {
        /// The cloud has accepted `self_test: active`.
        announced: bool,
    },
    /// The image is confirmed, image by image.
    Confirming {
        /// The image.
        image: u8,
    },
    /// The image is confirmed (or a custom job is done); `SUCCEEDED` is owed.
    Confirmed {
        /// A job of another kind, done by the application.
        custom: bool,
    },
    /// The job has failed or was rejected; the cloud has to accept that.
    Failed {
        /// Why.
        reason: Reason,
        /// `REJECTED`, not `FAILED`.
        rejected: bool,
    },
    /// The device is to be reset.
    Resetting,
    /// The application shut the agent down.
    Stopped,
}

/// How far the journal says a job had come: from where to go on when every file is verified.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stage {
    /// Not beyond the download.
    New,
    /// Every file was verified; the cloud may not know.
    Verified,
    /// The cloud has accepted "ready".
    Ready,
}

/// [`State`] without its data.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
#[allow(missing_docs)] // Each is explained at `State`.
pub enum StateKind {
    Booting,
    Idle,
    Custom,
    Offered,
    Judging,
    Downloading,
    Verifying,
    Verified,
    Ready,
    Activating,
    Pending,
    Withdrawing,
    Testing,
    Confirming,
    Confirmed,
    Failed,
    Resetting,
    Stopped,
}

impl State {
    /// The state without its data.
    pub const fn kind(&self) -> StateKind {
        match self {
            State::Booting { .. } => StateKind::Booting,
            State::Idle => StateKind::Idle,
            State::Custom => StateKind::Custom,
            State::Offered => StateKind::Offered,
            State::Judging => StateKind::Judging,
            State::Downloading => StateKind::Downloading,
            State::Verifying => StateKind::Verifying,
            State::Verified => StateKind::Verified,
            State::Ready => StateKind::Ready,
            State::Activating { .. } => StateKind::Activating,
            State::Pending => StateKind::Pending,
            State::Withdrawing { .. } => StateKind::Withdrawing,
            State::Testing { .. } => StateKind::Testing,
            State::Confirming { .. } => StateKind::Confirming,
            State::Confirmed { .. } => StateKind::Confirmed,
            State::Failed { .. } => StateKind::Failed,
            State::Resetting => StateKind::Resetting,
            State::Stopped => StateKind::Stopped,
        }
    }

    /// Blocks are asked for.
    pub(crate) const fn is_fetching(&self) -> bool {
        matches!(self, State::Judging | State::Downloading)
    }

    /// A job is held from its offer on, and its reset has not been made: it can still be dropped.
    pub(super) const fn is_before_reset(&self) -> bool {
        match self {
            State::Offered
            | State::Judging
            | State::Downloading
            | State::Verifying
            | State::Verified
            | State::Ready
            | State::Activating { .. }
            | State::Pending => true,
            State::Booting { .. }
            | State::Idle
            | State::Custom
            | State::Withdrawing { .. }
            | State::Testing { .. }
            | State::Confirming { .. }
            | State::Confirmed { .. }
            | State::Failed { .. }
            | State::Resetting
            | State::Stopped => false,
        }
    }

    /// What the state itself waits for, if anything.
    pub(super) const fn waits(&self) -> Option<Wait> {
        match self {
            State::Offered | State::Verified | State::Ready | State::Pending => Some(Wait::State),
            State::Testing { .. } => Some(Wait::Test),
            State::Booting { .. }
            | State::Idle
            | State::Custom
            | State::Judging
            | State::Downloading
            | State::Verifying
            | State::Activating { .. }
            | State::Withdrawing { .. }
            | State::Confirming { .. }
            | State::Confirmed { .. }
            | State::Failed { .. }
            | State::Resetting
            | State::Stopped => None,
        }
    }
}
