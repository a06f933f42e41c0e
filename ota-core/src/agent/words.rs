//! The application's words: its commands, and its answers to what policy was asked.

use super::job::Number;
use super::{Agent, Link, Stage, State};
use crate::command::Command;
use crate::policy::{Answer, Question};
use crate::status::Reason;

impl Agent<'_> {
    pub(super) fn command(&mut self, command: Command) {
        match command {
            Command::ShutDown => self.state = State::Stopped,
            Command::Suspend => {
                if !matches!(self.link, Link::Suspended { .. }) {
                    self.link_lost();
                    self.link = Link::Suspended { closed: false };
                }
            }
            Command::Resume => {
                if matches!(self.link, Link::Suspended { .. }) {
                    self.link = Link::Down { at: self.now, tries: 0 };
                }
            }
            Command::CheckNow => self.check_at = self.now,
            Command::Abort => self.abort(),
            Command::SelfTestPassed => {
                if let State::Testing { question: None, .. } = self.state {
                    self.state = State::Confirming { image: 0, failed: 0 };
                }
            }
            Command::SelfTestFailed => {
                if let State::Testing { .. } = self.state {
                    self.test_failed();
                }
            }
        }
    }

    fn abort(&mut self) {
        match self.state {
            State::Offered { .. }
            | State::Judging { .. }
            | State::Downloading { .. }
            | State::Verifying { .. }
            | State::Verified { .. }
            | State::Ready { .. }
            | State::Activating { .. }
            | State::Pending { .. } => self.fail(Reason::Aborted, 0),
            State::Testing { .. } => self.test_failed(),
            // Nothing to abort, or too late: the truth is told.
            State::Booting { .. }
            | State::Idle
            | State::Custom
            | State::Withdrawing { .. }
            | State::Confirming { .. }
            | State::Confirmed { .. }
            | State::Failed { .. }
            | State::Resetting
            | State::Stopped => {}
        }
    }

    pub(super) fn answer(&mut self, question: Question, answer: Answer) {
        let later = |ms: u32| self.after(ms);
        match (question, answer) {
            (Question::Start, Answer::Yes) => self.start_job(),
            (Question::RevertedBefore, Answer::Yes) => {
                (self.bad_image, self.bad_job) = ([0; 32], [0; 32]);
                self.record_due = true;
                self.ask_version();
            }
            (Question::Start | Question::RevertedBefore, Answer::Later { ms }) => {
                if let State::Offered { stage, .. } = self.state {
                    self.state = State::Offered { at: later(ms), stage };
                } else {
                    self.fail(Reason::RevertedBefore, 0);
                }
            }
            (Question::Start, Answer::No) => self.fail(Reason::Declined, 0),
            (Question::RevertedBefore, Answer::No) => self.fail(Reason::RevertedBefore, 0),

            (Question::NotMutual, Answer::Yes) => {
                if let State::Verifying { stage, .. } = self.state {
                    self.all_verified(stage);
                }
            }
            (Question::NotMutual, Answer::Later { .. } | Answer::No) => self.fail(Reason::NotMutual, 0),

            (Question::Downgrade { .. } | Question::SameVersion { .. } | Question::Erase, answer) => {
                self.version_or_erase_answer(question, answer);
            }

            (Question::Activate, Answer::Yes) => self.state = State::Activating { file: 0 },
            (Question::Activate, Answer::Later { ms }) => self.state = State::Ready { at: later(ms) },
            (Question::Activate, Answer::No) => self.fail(Reason::Declined, 0),
            (Question::ActivateOffline, Answer::Yes) => self.state = State::Activating { file: 0 },
            (Question::ActivateOffline, Answer::Later { ms }) => {
                self.state = State::Verified { ask_at: later(ms) }
            }
            (Question::ActivateOffline, Answer::No) => self.state = State::Verified { ask_at: u64::MAX },

            (Question::JobGoneInTest, Answer::Yes | Answer::Later { .. }) => self.test_goes_on(),
            (Question::JobGoneInTest, Answer::No) => self.test_failed(),

            (Question::Custom, Answer::Yes) => self.state = State::Confirmed { custom: true },
            (Question::Custom, Answer::Later { .. } | Answer::No) => {
                // Somebody else's: it is asked about again when the next job changes.
                self.leave_alone(self.check_at);
            }
        }
    }

    /// Answers given while judging, verifying or testing.
    fn version_or_erase_answer(&mut self, question: Question, answer: Answer) {
        let reason = match question {
            Question::Downgrade { .. } => Reason::Downgrade,
            Question::SameVersion { .. } => Reason::SameVersion,
            _erase => Reason::Declined,
        };
        match (self.state, answer) {
            (State::Judging { file, .. }, Answer::Yes) => {
                if matches!(question, Question::Erase) || self.erase_agreed {
                    self.erase_agreed = true;
                    self.download(file);
                } else {
                    self.state = State::Judging { file, question: Some(Question::Erase) };
                }
            }
            (State::Judging { .. }, Answer::Later { ms }) => {
                // The block in hand does not wait; it is fetched again.
                self.hand = None;
                self.keep_progress();
                self.state = State::Offered { at: self.after(ms), stage: Stage::New };
            }
            (State::Verifying { stage, .. }, Answer::Yes) => self.next_file(stage),
            (State::Verifying { .. }, Answer::Later { .. } | Answer::No) => self.fail(reason, 0),
            (State::Judging { .. }, Answer::No) => self.fail(reason, 0),
            (State::Testing { .. }, Answer::Yes) => self.test_goes_on(),
            (State::Testing { .. }, Answer::Later { .. } | Answer::No) => self.test_failed(),
            (_, Answer::Yes | Answer::Later { .. } | Answer::No) => {}
        }
    }

    fn test_goes_on(&mut self) {
        if let State::Testing { until, announced, .. } = self.state {
            self.state = State::Testing { until, announced, question: None };
        }
    }

    /// Policy agreed: the job starts, or goes on from what flash holds.
    pub(super) fn start_job(&mut self) {
        let State::Offered { stage, .. } = self.state else { return };
        if self.job.updated_by.get().is_none() || stage == Stage::New {
            self.job.updated_by = Number::of(Some(self.running_version().word()));
        }
        let known = self.resume.filter(|resume| resume.identity == self.job.digest);
        self.job.close_bundle();
        self.complete = match (stage, known) {
            // What stands between its images has to be fetched and hashed again.
            (_, Some(resume)) if resume.bundle => 0,
            (Stage::Verified | Stage::Ready, _) => self.job.file_count,
            (Stage::New, Some(resume)) => resume.file().min(self.job.file_count),
            (Stage::New, None) => 0,
        };
        self.drop_tokens();
        self.choose_plane();
        self.failures = 0;
        self.next_file(stage);
        if known.is_none() {
            self.resume = None;
        }
    }
}
