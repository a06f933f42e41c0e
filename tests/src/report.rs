//! What happened, and whether it may.

use std::ops::Range;

use ota_core::agent::{StateKind, Statistics};
use ota_core::geometry::ImageLayout;
use ota_core::policy::Drop;
use ota_core::status::{Ended, Reason};
use ota_sim::Version;
use ota_sim::aws::{Counters, Execution, Status};

use crate::board::Wear;
use crate::scenario::OLD;

/// What happened.
#[derive(Clone, Debug)]
pub struct Report {
    /// Status of the last execution of [`JOB`](crate::JOB) at the cloud; `Removed` when the job was deleted.
    pub status: Status,
    /// `statusDetails.reason` of it, if any.
    pub reason: String,
    /// Every execution the cloud knows, in the order they were queued.
    pub executions: Vec<Execution>,
    /// How the agent says its jobs ended.
    pub ended: Vec<Ended>,
    /// For each image of the device: what its primary slot holds whole, 0 the old image, n the one of offer n - 1.
    pub running: Vec<Option<usize>>,
    /// Version of each image at each boot that reached the application.
    pub booted: Vec<Vec<Option<Version>>>,
    /// Job id of each offer.
    pub offered: Vec<String>,
    /// Times the device came up.
    pub boots: u32,
    /// Resets the agent asked for.
    pub resets: u32,
    /// Layout of image 0.
    pub layout: ImageLayout,
    /// What was done to the secondary slot of image 0 until the first reset that the agent asked for.
    pub wear: Option<Wear>,
    /// Erases of the most erased sector of any flash (rows written, where rows are replaced), those of the bootloader included.
    pub most_erases: u32,
    /// Operations of the application and the bootloader together, since the last planned power cut.
    pub operations: u32,
    /// Which of them were the bootloader's, at each time the device came up.
    pub bootloader: Vec<Range<u32>>,
    /// Operations that real flash would have refused.
    pub violations: u32,
    /// Counters of the agent, summed over all boots.
    pub statistics: Statistics,
    /// Blocks that journal records promised, at each write and at each boot; flash held every one of them.
    pub promised: u32,
    /// Counters of the link.
    pub link: Counters,
    /// The states gone through.
    pub states: Vec<StateKind>,
    /// Operations before each of them, since the last planned power cut.
    pub entered_at: Vec<u32>,
    /// Why messages were dropped.
    pub dropped: Vec<Drop>,
    /// The scenario ran out of time.
    pub stuck: bool,
    /// The drop asked for never happened: the driver returned before.
    pub drop_is_ahead: bool,
    /// Virtual milliseconds it took.
    pub took_ms: u64,
    /// Bytes of the first offer's image file (of image 0).
    pub image_size: u32,
}

impl Report {
    /// Every image is the old one.
    pub fn old_runs(&self) -> bool {
        self.running.iter().all(|image| *image == Some(0))
    }

    /// Every image is that of the first offer.
    pub fn new_runs(&self) -> bool {
        self.running.iter().all(|image| *image == Some(1))
    }

    /// Each pair of images that ran, as "old new" (image 0, image 1), with repetitions left out; of a device of two images.
    pub fn pairs(&self) -> Vec<String> {
        let name = |version: &Option<Version>| if *version == Some(OLD) { "old" } else { "new" };
        let mut pairs: Vec<_> =
            self.booted.iter().map(|pair| format!("{} {}", name(&pair[0]), name(&pair[1]))).collect();
        pairs.dedup();
        pairs
    }

    /// The device is alive and tells the truth: it runs one whole image, every execution has ended, `SUCCEEDED` is said
    /// of what runs, and of nothing else.
    ///
    /// # Panics
    /// It is not.
    pub fn assert_sane(&self, context: &str) {
        assert!(!self.stuck, "{context}: stuck: {self:#?}");
        assert!(self.running.iter().all(Option::is_some), "{context}: no image is whole: {self:#?}");
        assert_eq!(self.violations, 0, "{context}: real flash would have refused: {self:#?}");
        assert_eq!(self.statistics.unexpected, 0, "{context}: illegal inputs: {self:#?}");
        for execution in &self.executions {
            assert!(execution.status.is_terminal(), "{context}: a job never ended: {self:#?}");
        }
        let succeeded = |execution: &&Execution| execution.status == Status::Succeeded;
        if let Some(last) =
            self.executions.iter().filter(succeeded).max_by_key(|execution| execution.updated_at_ms)
        {
            let offer =
                |job: &String| self.offered.iter().position(|offered| offered == job).map(|at| at + 1);
            // Or what a later job left running, and told of.
            let later = |execution: &&Execution| execution.updated_at_ms >= last.updated_at_ms;
            let may = self.executions.iter().filter(later).filter(|execution| may_run(execution));
            let may: Vec<_> = may.map(|execution| offer(&execution.job_id)).collect();
            assert!(
                self.running.iter().all(|image| may.contains(image)),
                "{context}: SUCCEEDED is a lie: {self:#?}"
            );
        }
        for image in self.running.iter().flatten().filter(|image| **image > 0) {
            let job = &self.offered[*image - 1];
            let mut executions = self.executions.iter().filter(|execution| execution.job_id == *job);
            let told = |execution: &Execution| may_run(execution);
            // A deleted job has no execution left.
            let deleted = !self.executions.iter().any(|execution| execution.job_id == *job);
            assert!(deleted || executions.any(told), "{context}: runs unreported: {self:#?}");
        }
    }

    /// The update went through.
    ///
    /// # Panics
    /// It did not.
    pub fn assert_updated(&self, context: &str) {
        self.assert_sane(context);
        assert_eq!((self.status, self.new_runs()), (Status::Succeeded, true), "{context}: {self:#?}");
    }

    /// The job ended with this status and reason, and the old image runs.
    ///
    /// # Panics
    /// It did not.
    pub fn assert_refused(&self, context: &str, status: Status, reason: Reason) {
        self.assert_sane(context);
        // A number may stand behind the fixed spelling.
        let told = (self.status, self.reason.split(':').next().unwrap_or_default());
        assert_eq!(told, (status, reason.spelling()), "{context}: {self:#?}");
        assert!(self.old_runs(), "{context}: not the old image: {self:#?}");
    }

    /// The secondary slot saw no write and no erase before the first reset, nor did one happen.
    ///
    /// # Panics
    /// It was touched.
    pub fn assert_untouched(&self, context: &str) {
        let touched = [StateKind::Downloading, StateKind::Activating, StateKind::Withdrawing];
        let went = self.states.iter().find(|state| touched.contains(state));
        assert!(went.is_none() && self.resets == 0, "{context}: the slot was touched: {self:#?}");
    }

    /// An execution of `job`, by its number from 1.
    ///
    /// # Panics
    /// There is none.
    pub fn execution(&self, job: &str, number: u64) -> &Execution {
        let found = self.executions.iter().find(|e| e.job_id == job && e.number == number);
        found.unwrap_or_else(|| panic!("no execution {number} of {job}: {self:#?}"))
    }
}

/// May the image of this execution run when everything is over?
fn may_run(execution: &Execution) -> bool {
    match execution.status {
        // After the reset it is too late for a cancel: the image is tested and confirmed all the same.
        Status::Succeeded | Status::Canceled | Status::TimedOut | Status::Removed => true,
        Status::Failed => {
            [Reason::SelfTestFailedNoRevert, Reason::ConfirmFailed, Reason::StateLost, Reason::MixedImages]
                .iter()
                .any(|reason| {
                    execution.detail("reason").is_some_and(|told| told.starts_with(reason.spelling()))
                })
        }
        Status::Queued | Status::InProgress | Status::Rejected => false,
    }
}
