//! Job executions: their states, what a device may change, and the order they are handed out in.
//!
//! Source: AWS IoT developer guide, "Jobs" (`jobs-api`, `jobs-mqtt-api`, "Job execution states").
//! Pure data: no topics and no JSON parsing here.

use super::json::{Object, quoted};

/// State of one job execution, spelled as AWS spells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Status {
    /// Waits for the device.
    Queued,
    /// The device works on it.
    InProgress,
    /// The device reported failure.
    Failed,
    /// The device reported success.
    Succeeded,
    /// Ended from the cloud.
    Canceled,
    /// A step or in-progress timer ran out.
    TimedOut,
    /// The device refused it.
    Rejected,
    /// The thing is no longer a target.
    Removed,
}

impl Status {
    /// The spelling on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Queued => "QUEUED",
            Self::InProgress => "IN_PROGRESS",
            Self::Failed => "FAILED",
            Self::Succeeded => "SUCCEEDED",
            Self::Canceled => "CANCELED",
            Self::TimedOut => "TIMED_OUT",
            Self::Rejected => "REJECTED",
            Self::Removed => "REMOVED",
        }
    }

    /// The states a device may ask for; anything else in an update is `InvalidRequest`.
    pub fn from_device(name: &str) -> Option<Self> {
        [Self::InProgress, Self::Failed, Self::Succeeded, Self::Rejected]
            .into_iter()
            .find(|status| status.name() == name)
    }

    /// Whether nothing follows this state.
    pub const fn is_terminal(self) -> bool {
        match self {
            Self::Queued | Self::InProgress => false,
            Self::Failed
            | Self::Succeeded
            | Self::Canceled
            | Self::TimedOut
            | Self::Rejected
            | Self::Removed => true,
        }
    }

    /// Whether a device may go from here to `to`.
    ///
    /// AWS' guide does not settle `REJECTED` after `IN_PROGRESS`; AWS' C agents hold it for refused,
    /// so `rejected_after_start` decides.
    pub const fn device_may_set(self, to: Self, rejected_after_start: bool) -> bool {
        match (self, to) {
            (Self::Queued, Self::InProgress | Self::Succeeded | Self::Failed | Self::Rejected) => true,
            (Self::InProgress, Self::InProgress | Self::Succeeded | Self::Failed) => true,
            (Self::InProgress, Self::Rejected) => rejected_after_start,
            (
                Self::Queued | Self::InProgress,
                Self::Queued | Self::Canceled | Self::TimedOut | Self::Removed,
            ) => false,
            (
                Self::Failed
                | Self::Succeeded
                | Self::Canceled
                | Self::TimedOut
                | Self::Rejected
                | Self::Removed,
                Self::Queued
                | Self::InProgress
                | Self::Failed
                | Self::Succeeded
                | Self::Canceled
                | Self::TimedOut
                | Self::Rejected
                | Self::Removed,
            ) => false,
        }
    }
}

/// Who changed an execution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Created, canceled, removed: somebody at the cloud's side.
    Cloud,
    /// An accepted update or start-next of the device.
    Device,
    /// A timer.
    Timer,
}

/// One accepted change of an execution, for tests and for people watching.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// When, in the caller's milliseconds.
    pub at_ms: u64,
    /// By whom.
    pub origin: Origin,
    /// State after the change.
    pub status: Status,
    /// Status details after the change.
    pub details: Vec<(String, String)>,
    /// Version number after the change.
    pub version: u32,
}

/// One job execution: one attempt of one thing at one job.
#[derive(Clone, Debug)]
pub struct Execution {
    /// Job id.
    pub job_id: String,
    /// `executionNumber`: 1 for the first attempt, one more for each retry.
    pub number: u64,
    /// State now.
    pub status: Status,
    /// Status details now, by key.
    pub details: Vec<(String, String)>,
    /// `versionNumber`: starts at 1, one more for every accepted change.
    pub version: u32,
    /// When it was queued, ms.
    pub queued_at_ms: u64,
    /// When it first became `IN_PROGRESS`, ms.
    pub started_at_ms: Option<u64>,
    /// Last accepted change, ms.
    pub updated_at_ms: u64,
    /// Every accepted change since and including the creation.
    pub history: Vec<Change>,
    pub(crate) step_deadline_ms: Option<u64>,
    pub(crate) progress_deadline_ms: Option<u64>,
    pub(crate) progress_timeout_ms: Option<u64>,
}

impl Execution {
    pub(crate) fn new(job_id: &str, number: u64, now_ms: u64, progress_timeout_ms: Option<u64>) -> Self {
        let mut execution = Self {
            job_id: job_id.into(),
            number,
            status: Status::Queued,
            details: Vec::new(),
            version: 1,
            queued_at_ms: now_ms,
            started_at_ms: None,
            updated_at_ms: now_ms,
            history: Vec::new(),
            step_deadline_ms: None,
            progress_deadline_ms: None,
            progress_timeout_ms,
        };
        execution.remember(now_ms, Origin::Cloud);
        execution
    }

    /// Value of one status detail.
    pub fn detail(&self, key: &str) -> Option<&str> {
        self.details.iter().find(|(k, _)| k == key).map(|(_, v)| v.as_str())
    }

    /// Enters `status`; counts the version and runs the timers.
    pub(crate) fn enter(&mut self, now_ms: u64, status: Status, origin: Origin) {
        self.status = status;
        self.version += 1;
        self.updated_at_ms = now_ms;
        if status == Status::InProgress && self.started_at_ms.is_none() {
            self.started_at_ms = Some(now_ms);
            self.progress_deadline_ms = self.progress_timeout_ms.map(|ms| now_ms + ms);
        }
        if status.is_terminal() {
            self.step_deadline_ms = None;
            self.progress_deadline_ms = None;
        }
        self.remember(now_ms, origin);
    }

    /// The earlier of the two timers.
    pub(crate) fn deadline_ms(&self) -> Option<u64> {
        [self.step_deadline_ms, self.progress_deadline_ms].into_iter().flatten().min()
    }

    fn remember(&mut self, at_ms: u64, origin: Origin) {
        self.history.push(Change {
            at_ms,
            origin,
            status: self.status,
            details: self.details.clone(),
            version: self.version,
        });
    }

    /// `statusDetails` as JSON; `{}` when there are none.
    fn details_json(&self) -> String {
        self.details
            .iter()
            .fold(Object::new(), |object, (key, value)| object.raw(key, &quoted(value)))
            .finish()
    }

    /// `executionState` of update and error answers.
    pub(crate) fn state_json(&self) -> String {
        Object::new()
            .string("status", self.status.name())
            .raw("statusDetails", &self.details_json())
            .number("versionNumber", self.version)
            .finish()
    }

    /// The full `execution` of describe answers and `notify-next`.
    pub(crate) fn to_json(&self, clock: Clock, document: Option<&str>) -> String {
        let mut object = Object::new().string("jobId", &self.job_id).string("status", self.status.name());
        // The service leaves the member out while there are no details.
        if !self.details.is_empty() {
            object = object.raw("statusDetails", &self.details_json());
        }
        object = object
            .number("queuedAt", clock.seconds(self.queued_at_ms))
            .maybe_number("startedAt", self.started_at_ms.map(|ms| clock.seconds(ms)))
            .number("lastUpdatedAt", clock.seconds(self.updated_at_ms))
            .number("versionNumber", self.version)
            .number("executionNumber", self.number);
        if let Some(document) = document {
            object = object.raw("jobDocument", document);
        }
        object.finish()
    }

    /// The summary of `jobs/get` and `notify`.
    pub(crate) fn summary_json(&self, clock: Clock) -> String {
        Object::new()
            .string("jobId", &self.job_id)
            .number("queuedAt", clock.seconds(self.queued_at_ms))
            .maybe_number("startedAt", self.started_at_ms.map(|ms| clock.seconds(ms)))
            .number("lastUpdatedAt", clock.seconds(self.updated_at_ms))
            .number("versionNumber", self.version)
            .number("executionNumber", self.number)
            .finish()
    }
}

/// Turns the caller's milliseconds into the seconds since 1970 that the service writes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    pub(crate) epoch_s: u64,
}

impl Clock {
    pub(crate) const fn seconds(self, ms: u64) -> u64 {
        self.epoch_s + ms / 1000
    }
}

/// All executions of one thing, oldest first.
#[derive(Clone, Debug, Default)]
pub(crate) struct Queue {
    pub(crate) executions: Vec<Execution>,
    /// What `notify-next` and `notify` last told, to push only changes.
    pub(crate) told_next: Option<(String, u64, Status)>,
    pub(crate) told_pending: Vec<(String, u64)>,
}

impl Queue {
    /// The next execution: one in progress before any queued one, the oldest of each.
    pub(crate) fn next(&self) -> Option<&Execution> {
        self.pending(Status::InProgress).chain(self.pending(Status::Queued)).next()
    }

    /// Executions in `status`: those in progress by start, queued ones by age.
    pub(crate) fn pending(&self, status: Status) -> impl Iterator<Item = &Execution> {
        let mut found: Vec<&Execution> = self.executions.iter().filter(|e| e.status == status).collect();
        found.sort_by_key(|e| (e.started_at_ms, e.queued_at_ms));
        found.into_iter()
    }

    /// The execution `number` of a job, or its latest.
    pub(crate) fn find(&self, job_id: &str, number: Option<u64>) -> Option<&Execution> {
        self.executions.iter().rev().find(|e| e.job_id == job_id && number.is_none_or(|n| e.number == n))
    }

    pub(crate) fn find_mut(&mut self, job_id: &str, number: Option<u64>) -> Option<&mut Execution> {
        self.executions.iter_mut().rev().find(|e| e.job_id == job_id && number.is_none_or(|n| e.number == n))
    }
}
