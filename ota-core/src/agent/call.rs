//! The one request to AWS IoT Jobs: when it goes out, when it is repeated, when it is given up.

use super::clock::Wait;
use super::plan::Next;
use super::{Action, Agent, Publication, Report, Request, State};
use crate::wire::Token;

/// The one request to Jobs.
#[derive(Clone, Copy)]
pub(super) struct Call {
    /// `None`: nothing is asked.
    pub(super) request: Option<Request>,
    /// Published, and not answered. Otherwise it is to be published, perhaps not for the first time.
    pub(super) waits: bool,
    /// Attempts that came to nothing.
    pub(super) tries: u8,
}

impl Call {
    pub(super) const NONE: Self = Self { request: None, waits: false, tries: 0 };

    /// Answered, or of no use any more.
    pub(super) fn end(&mut self) {
        (self.request, self.tries) = (None, 0);
    }
}

impl Agent<'_> {
    /// The call that an answer with `token` is to: about the job of this id (`None`: the next one), to a report or to a
    /// question. Every call carries a token and the service echoes it: an answer without ours is to something else. The
    /// call waits no more; who takes the answer in ends it or makes it [`again`](Self::again).
    pub(super) fn answered(
        &mut self,
        job_id: Option<&str>,
        token: Token<'_>,
        reported: bool,
    ) -> Option<Request> {
        let request = self.call.request.filter(|_| self.call.waits)?;
        let asked = match request {
            Request::Next { .. } => None,
            Request::Held { .. } | Request::Report(_) => Some(self.job_id()),
        };
        let fits = job_id == asked && reported == matches!(request, Request::Report(_));
        if !fits || !self.is_token(token, self.next_token.wrapping_sub(1)) {
            return None;
        }
        self.call.waits = false;
        self.link_tries = 0;
        Some(request)
    }

    /// The call again, after a pause.
    #[inline(never)]
    pub(super) fn again(&mut self) {
        let at = self.retry_at(self.call.tries);
        self.clock.set(Wait::Call, at);
        (self.call.waits, self.call.tries) = (false, self.call.tries.saturating_add(1));
    }

    /// When Jobs has to be looked after: the call's moment, or the next question's.
    pub(super) fn call_at(&self) -> i32 {
        self.clock.at(if self.call.request.is_some() { Wait::Call } else { Wait::Check })
    }

    /// Its deadline, its retry, or the next request.
    pub(super) fn plan_jobs(&mut self) -> Next {
        let request = match self.call.request {
            Some(_) if self.call.waits => {
                if !self.is_late(Wait::Call, self.config.timing.request_ms) {
                    return Next::Nothing;
                }
                self.call_expired();
                return Next::Again;
            }
            Some(request) if !self.still_wanted(request) => {
                self.call.end();
                self.clock.set(Wait::Check, 0);
                return Next::Again;
            }
            Some(request) => self.clock.is_due(Wait::Call).then_some(request),
            None => self.wanted(),
        };
        match request {
            Some(request) => self.act(Action::Publish(Publication::Jobs(request))),
            None => Next::Nothing,
        }
    }

    /// Time is up for the answer.
    fn call_expired(&mut self) {
        let tries = self.call.tries;
        self.unanswered();
        // A link on which nothing is answered may be half dead: make a new one now and then.
        if tries % 4 == 3 {
            self.link_lost();
        }
    }

    /// The call that waits gets no answer: again after a pause. A question twice with the document, once without: an answer
    /// larger than the receive buffer never arrives, or ends the link of a client that could not tell the broker its size.
    pub(super) fn unanswered(&mut self) {
        let with = self.call.tries % 3 != 1;
        match &mut self.call.request {
            Some(Request::Next { document }) => *document = with,
            Some(Request::Held { document }) => *document = with && (self.planes.stale || !self.job.loaded),
            Some(Request::Report(_)) | None => {}
        }
        self.again();
    }

    fn wanted(&self) -> Option<Request> {
        let owed = || self.job.is_held().then(|| self.owed()).flatten();
        match self.state {
            // The report's own answer tells whether the job is still there.
            State::Confirmed { .. } | State::Failed { .. } => owed().map(Request::Report),
            _other if self.clock.is_due(Wait::Check) => Some(match self.job.is_held() {
                true => Request::Held {
                    document: self.planes.stale || !self.job.loaded && matches!(self.state, State::Offered),
                },
                false => Request::Next { document: true },
            }),
            _other => owed().map(Request::Report),
        }
    }

    /// A request that waits to be repeated still fits the state.
    fn still_wanted(&self, request: Request) -> bool {
        match request {
            Request::Next { .. } => !self.job.is_held(),
            Request::Held { .. } => {
                self.job.is_held() && !matches!(self.state, State::Confirmed { .. } | State::Failed { .. })
            }
            Request::Report(report) => self.job.is_held() && self.owed() == Some(report),
        }
    }

    /// Whether `report` is what the state owes.
    pub(super) fn owed(&self) -> Option<Report> {
        match self.state {
            State::Verified => Some(Report::Ready),
            State::Testing { announced: false, .. } => Some(Report::Active),
            State::Confirmed { .. } => Some(Report::Succeeded),
            State::Failed { .. } => Some(Report::Ended),
            State::Booting { .. }
            | State::Idle
            | State::Custom
            | State::Offered
            | State::Judging
            | State::Downloading
            | State::Verifying
            | State::Ready
            | State::Activating { .. }
            | State::Pending
            | State::Withdrawing { .. }
            | State::Testing { .. }
            | State::Confirming { .. }
            | State::Resetting
            | State::Stopped => None,
        }
    }
}
