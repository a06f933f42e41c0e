//! What the application decides, and what it sees.

use crate::agent::StateKind;
use crate::status::Ended;
use crate::version::Version;

/// A question only the application can answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Question {
    /// May this job's download start now? (battery, time window, user)
    Start,
    /// The offered image is older than the running one. Go on all the same?
    Downgrade {
        /// The version that runs.
        running: Version,
        /// The version offered.
        offered: Version,
    },
    /// The offered image has the version that runs. Go on all the same?
    SameVersion {
        /// The version that runs and is offered.
        version: Version,
    },
    /// This image was reverted, or failed its self test, before. Try it again?
    RevertedBefore,
    /// The job's images do not need each other by their DEPENDENCY TLVs: a power cut while they are exchanged can leave
    /// one new and the other old. Do they work in any mixture?
    NotMutual,
    /// The first block is good. May the secondary slot be erased now?
    Erase,
    /// The image is verified and the cloud knows. May the swap be requested and the device reset now?
    Activate,
    /// The image is verified and the cloud does not answer. Activate all the same, and report later? (A no is one for 24
    /// days.)
    ActivateOffline,
    /// The job disappeared while its image is under test. Go on testing and confirm locally?
    JobGoneInTest,
    /// `$next` is a job of another kind; its document is passed to [`Policy::custom_job`].
    Custom,
}

/// The application's answer to a [`Question`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Answer {
    /// Go on.
    Yes,
    /// Ask again after so many milliseconds; the job waits.
    Later {
        /// Milliseconds from now; more than 24 days (2^31 ms) count as 24 days.
        ms: u32,
    },
    /// No. For [`Question::Custom`]: not this library's business, leave the job alone.
    No,
}

/// May we? Implemented by the application; every question has a default.
///
/// The functions are called between two actions of the agent, with no flash operation under way.
pub trait Policy {
    /// Answers one question. The default starts, erases and activates at once, and refuses downgrades, the same version,
    /// images that were reverted before, images that could boot one without the other, and activation offline; a job that disappears during the self test does not stop
    /// the test.
    fn consult(&mut self, question: &Question) -> Answer {
        match question {
            Question::Start | Question::Erase | Question::Activate | Question::JobGoneInTest => Answer::Yes,
            Question::Downgrade { .. }
            | Question::SameVersion { .. }
            | Question::RevertedBefore
            | Question::NotMutual
            | Question::ActivateOffline
            | Question::Custom => Answer::No,
        }
    }

    /// A job whose document has no `afr_ota` member. `document` is its JSON, untouched. `Yes`: the job is done, report
    /// `SUCCEEDED`; `Later` and `No`: leave it alone (the default).
    fn custom_job(&mut self, job_id: &str, document: &[u8]) -> Answer {
        let _ = (job_id, document);
        Answer::No
    }
}

/// The default policy: every default of [`Policy`].
#[derive(Clone, Copy, Debug, Default)]
pub struct DefaultPolicy;

impl Policy for DefaultPolicy {}

/// What happens, for logs, LEDs and progress bars. Every function has an empty default.
pub trait Observer {
    /// The agent went from one state to another.
    fn state(&mut self, from: StateKind, to: StateKind) {
        let _ = (from, to);
    }

    /// Flash holds `held` of `total` blocks of the file being downloaded.
    fn progress(&mut self, held: u32, total: u32) {
        let _ = (held, total);
    }

    /// A message was dropped; `count` is how many so far.
    fn dropped(&mut self, why: Drop, count: u32) {
        let _ = (why, count);
    }

    /// A job ended. For [`Ended::Succeeded`], `Failed` and `Rejected` the cloud has accepted the status.
    fn ended(&mut self, how: Ended) {
        let _ = how;
    }

    /// The swap is requested (or an unconfirmed image is given up): the next thing is a reset.
    fn about_to_reset(&mut self) {}
}

/// The default observer: looks away.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoObserver;

impl Observer for NoObserver {}

/// Why a message was dropped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Drop {
    /// Not a topic of this thing, job or stream, or a message nobody asked for.
    Unknown,
    /// Not decodable.
    Undecodable,
    /// An answer to an earlier request.
    Late,
    /// A block that flash holds already.
    Duplicate,
    /// A block of another file.
    WrongFile,
    /// A block that was not asked for.
    OutOfWindow,
    /// A block whose length is not what this block must have.
    WrongLength,
}
