//! The application's words: its commands, and its answers to what policy was asked.

use super::clock::{FAR, Wait, after};
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
                    self.connect_now();
                }
            }
            Command::CheckNow => self.clock.set(Wait::Check, 0),
            Command::Abort => self.abort(),
            Command::SelfTestPassed => {
                if let State::Testing { .. } = self.state {
                    self.vain = 0;
                    self.state = State::Confirming { image: 0 };
                }
            }
            Command::SelfTestFailed => {
                if let State::Testing { .. } = self.state {
                    self.test_failed();
                }
            }
        }
    }

    /// In every other state there is nothing to abort, or it is too late: the truth is told.
    fn abort(&mut self) {
        if self.state.is_before_reset() {
            self.fail(Reason::Aborted);
        } else if let State::Testing { .. } = self.state {
            self.test_failed();
        }
    }

    pub(super) fn answer(&mut self, question: &Question, answer: Answer) {
        self.question = None;
        match answer {
            Answer::Yes => self.agreed(question),
            Answer::Later { ms } => self.put_off(question, after(ms)),
            Answer::No => self.declined(question),
        }
    }

    fn agreed(&mut self, question: &Question) {
        match question {
            Question::Start => self.start_job(),
            Question::RevertedBefore => {
                (self.bad_image, self.bad_job) = ([0; 32], [0; 32]);
                self.record_due = true;
                // Known after the download only, the image is in hand; known before, the job has not started.
                self.ask_version();
            }
            Question::Downgrade { .. } | Question::SameVersion { .. } => match self.state {
                State::Judging => self.ask_erase(),
                State::Verifying => self.next_file(),
                _testing => {}
            },
            Question::Erase => {
                self.erase_agreed = true;
                self.download();
            }
            Question::NotMutual => self.all_verified(),
            Question::Activate | Question::ActivateOffline => {
                // That flash was worked on in vain before is to outlive a power cut in this work.
                self.record_due |= self.vain > 0;
                self.state = State::Activating { file: 0 };
            }
            Question::JobGoneInTest => {}
            Question::Custom => self.state = State::Confirmed { custom: true },
        }
    }

    /// Asked again at `at`, where that is possible; elsewhere later is never.
    fn put_off(&mut self, question: &Question, at: i32) {
        match (question, self.state) {
            (_, State::Judging) => {
                // The block in hand does not wait; it is fetched again.
                self.hand = None;
                self.keep_progress();
                self.stage = Stage::New;
                self.state = State::Offered;
            }
            (_, State::Offered | State::Verified | State::Ready) => {}
            (Question::JobGoneInTest, _) => return,
            (_, _) => return self.declined(question),
        }
        self.clock.set(Wait::State, at);
    }

    #[inline(never)]
    fn declined(&mut self, question: &Question) {
        let reason = match question {
            Question::ActivateOffline => return self.clock.set(Wait::State, FAR),
            // Somebody else's: it is asked about again when the next job changes.
            Question::Custom => return self.leave_alone(),
            _ if matches!(self.state, State::Testing { .. }) => return self.test_failed(),
            Question::Start | Question::Erase | Question::Activate | Question::JobGoneInTest => {
                Reason::Declined
            }
            Question::Downgrade { .. } => Reason::Downgrade,
            Question::SameVersion { .. } => Reason::SameVersion,
            Question::RevertedBefore => Reason::RevertedBefore,
            Question::NotMutual => Reason::NotMutual,
        };
        self.fail(reason);
    }

    /// Policy agreed: the job starts, or goes on from what flash holds.
    pub(super) fn start_job(&mut self) {
        if self.job.updated_by == 0 || self.stage == Stage::New {
            self.job.updated_by = self.running_version().word();
        }
        self.job.close_bundle();
        let known = self.resume.as_ref().filter(|resume| resume.identity == self.job.digest);
        let is_known = known.is_some();
        self.complete = match (self.stage, known) {
            // What stands between its images has to be fetched and hashed again.
            (_, Some(resume)) if resume.bundle => 0,
            (Stage::Verified | Stage::Ready, _) => self.job.file_count,
            (Stage::New, Some(resume)) => resume.file.min(self.job.file_count),
            (Stage::New, None) => 0,
        };
        self.drop_tokens();
        self.choose_plane();
        self.next_file();
        if !is_known {
            self.resume = None;
        }
    }
}
