//! From verified to confirmed: set pending, withdraw, confirm, and what follows when they fail.

use super::clock::{Wait, after};
use super::wear::FAILED;
use super::{Agent, Slots, Stage, State};
use crate::boot::{Request as SwapRequest, Revert, Withdrawn};
use crate::geometry::ImageLayout;
use crate::policy::Question;
use crate::slot::FlashError;
use crate::status::{Ended, Reason};
use crate::verify::{Kept, Verified};

impl Agent<'_> {
    pub(super) fn verified(&mut self, token: Verified) {
        let State::Verifying = self.state else { return };
        let file = self.fetch.file;
        let (token, hash) = token.keep();
        let image = usize::from(token.image());
        if let Some(Slots { security_counter: Some(least), .. }) = self.slots.get(image)
            && token.security_counter().is_none_or(|counter| counter < *least)
        {
            return self.fail(Reason::SecurityCounter);
        }
        if let Some(intended) = self.intended.get_mut(image) {
            *intended = hash;
        }
        if let Some(place) = self.tokens.get_mut(usize::from(file)) {
            *place = Some(token);
        }
        self.complete = self.complete.max(file + 1);
        if hash == self.bad_image {
            // Known only now: the job's signature was another one.
            self.question = Some(Question::RevertedBefore);
        } else {
            self.ask_version();
        }
    }

    /// The version rule for the file just verified.
    #[inline(never)]
    pub(super) fn ask_version(&mut self) {
        let State::Verifying = self.state else { return };
        let token = self.token_of(self.fetch.file);
        // Agreed to before the download; what flash holds now is asked about once more.
        self.question = token.and_then(|token| self.version_question(token.image(), token.version()));
        if self.question.is_none() {
            self.next_file();
        }
    }

    /// The token of a file, where it is verified.
    pub(super) fn token_of(&self, file: u8) -> Option<&Kept> {
        self.tokens.get(usize::from(file))?.as_ref()
    }

    /// Where the token lies of the image that is set pending now.
    pub(super) fn token_in_turn(&mut self) -> Option<&mut Option<Kept>> {
        let State::Activating { file } = self.state else { return None };
        self.tokens.get_mut(usize::from(file))
    }

    /// The token of the image that is set pending now is here.
    pub(super) fn holds_token(&self) -> bool {
        let State::Activating { file } = self.state else { return false };
        self.token_of(file).is_some()
    }

    /// What the token proved may not hold any more.
    pub(super) fn drop_token(&mut self) {
        if let Some(token) = self.token_in_turn() {
            *token = None;
        }
    }

    /// What flash holds is not to be gone on from.
    pub(super) fn forget_data(&mut self) {
        self.fetch.begun = false;
        self.resume = None;
        self.complete = 0;
    }

    pub(super) fn set_pending_done(&mut self) {
        self.requested(SwapRequest::Test);
        let State::Activating { file } = self.state else { return };
        self.state = if file + 1 < self.job.file_count {
            State::Activating { file: file + 1 }
        } else {
            self.record_due = true;
            self.clock.set(Wait::Check, 0);
            self.clock.set(Wait::State, after(self.config.timing.request_ms));
            State::Pending
        };
    }

    pub(super) fn set_pending_failed(&mut self, error: FlashError) {
        let State::Activating { file } = self.state else { return };
        self.drop_token();
        self.requested(SwapRequest::Damaged);
        if self.in_vain(FAILED) {
            return self.fail_with(Reason::SetPendingFailed, error as u32);
        }
        let image = self.job.file(file).image;
        let damaged = error == FlashError::Trailer;
        let lost = self.layout(image).filter(|_| damaged).map_or(0..0, ImageLayout::trailer_sectors);
        if self.reopen_bundle(image, lost.clone()) {
            return;
        }
        // The token is spent: hash and verify again, then once more.
        self.stage = Stage::Ready;
        self.next_file();
        if damaged && let Some(layout) = self.layout_in_hand() {
            // The trailer's sector is given up; what it holds of the image is fetched again.
            for sector in lost {
                self.fetch.give_up(sector, layout);
            }
            self.complete = file;
            self.statistics.sectors_given_up += 1;
            self.record_due = true;
            if !self.fetch.is_complete() {
                self.state = State::Downloading;
            }
        }
    }

    /// The request stands of the image that is set pending now; `Damaged`: it may, for that was cut short. Should the job end,
    /// it is withdrawn.
    #[inline(never)]
    pub(super) fn requested(&mut self, request: SwapRequest) {
        if let State::Activating { file } = self.state {
            self.set_request(self.job.file(file).image, request);
        }
    }

    pub(super) fn set_request(&mut self, image: u8, request: SwapRequest) {
        if let Some(slots) = self.slots.get_mut(usize::from(image)) {
            slots.request = request;
        }
    }

    pub(super) fn withdrawn(&mut self, withdrawn: Option<Withdrawn>) {
        let State::Withdrawing { image, reason } = self.state else { return };
        self.vain = 0;
        self.set_request(image, SwapRequest::None);
        if let Some(Withdrawn::SectorLost(_)) | None = withdrawn {
            // Rare, and only on parts whose trailer shares a sector with the image: start over rather than guess.
            self.forget_data();
        }
        self.state = State::Withdrawing { image: image + 1, reason };
        if usize::from(image) + 1 < self.config.images.len() {
            return;
        }
        match reason {
            Some(reason) => {
                self.record_due = true;
                self.report(reason, 0);
            }
            None => self.close(Ended::Gone),
        }
    }

    pub(super) fn confirmed_one(&mut self) {
        let State::Confirming { image } = self.state else { return };
        self.vain = 0;
        if let Some(slots) = self.slots.get_mut(usize::from(image)) {
            slots.revert = Revert::No;
            slots.unconfirmed = false;
        }
        self.state = State::Confirming { image: image + 1 };
        if usize::from(image) + 1 < self.config.images.len() {
            return;
        }
        self.all_confirmed();
    }

    pub(super) fn confirm_failed(&mut self) {
        if self.in_vain(FAILED) && !self.goes_back() {
            self.fail(Reason::ConfirmFailed);
        }
    }
}
