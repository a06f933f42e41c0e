//! One boot, from reset to the jump into the primary (`loader.c`, `boot_go`).

use core::cmp::Ordering;

use super::area::{Area, Flashes};
use super::status::Which;
use super::swap::{Job, TlvSizes};
use super::trailer::{FLAG_SET, Flag, Magic, SwapType, decide};
use super::validate::{Place, has_magic, parse};
use super::{Bootloader, ImageRecord, Mode, Refused};
use crate::flash::{Actor, Device, FlashFault};

/// Images one bootloader serves at most.
pub const MAX_IMAGES: usize = 4;

/// What the bootloader did with one image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Action {
    /// Nothing to do.
    #[default]
    None,
    /// Exchanged the slots; the new image is on trial.
    Test,
    /// Installed the new image for good. With [`Mode::Overwrite`] every installation is of this kind.
    Permanent,
    /// Brought the previous image back.
    Revert,
    /// Finished a swap of this kind that a power cut had interrupted.
    Resumed(SwapType),
}

/// One image after a boot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ImageBoot {
    /// The image in the primary; `None` when there is none that may boot.
    pub running: Option<ImageRecord>,
    /// What was done.
    pub action: Action,
    /// Why the image in the secondary was not installed, or why the primary does not boot.
    pub refused: Option<Refused>,
}

/// The outcome of a boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Boot {
    images: [ImageBoot; MAX_IMAGES],
    count: usize,
}

impl Boot {
    /// Each image, in order.
    pub fn images(&self) -> &[ImageBoot] {
        &self.images[..self.count]
    }

    /// One image; `None` when there is no such image.
    pub fn image(&self, image: usize) -> Option<&ImageBoot> {
        self.images().get(image)
    }

    /// Whether the device starts: every primary holds an image that may boot.
    pub fn starts(&self) -> bool {
        self.images().iter().all(|image| image.running.is_some())
    }
}

/// What is to be done with one image.
#[derive(Clone, Copy)]
enum Plan {
    Nothing,
    Start {
        swap: SwapType,
        size: u32,
        tlv_sizes: TlvSizes,
    },
    /// A swap that the primary's trailer asks for before any step was done.
    Continue(Job),
}

impl Plan {
    fn swap(&self) -> SwapType {
        match self {
            Self::Nothing => SwapType::None,
            Self::Start { swap, .. } | Self::Continue(Job { swap, .. }) => *swap,
        }
    }
}

impl Bootloader<'_> {
    /// Boots the device: finishes what was interrupted, installs what is asked for, checks what will run.
    ///
    /// `devices` are the flashes in the order of [`Area::device`]; their operations are counted as the bootloader's.
    /// `counters` are the stored security counters, one an image, used with `rollback_protection` only.
    ///
    /// # Errors
    /// The fault of a flash. After [`FlashFault::PowerLost`], boot again with the power on.
    ///
    /// # Panics
    /// When `devices` are not the flashes, in number and shape, that the layout was checked against.
    pub fn boot(&self, devices: &mut [&mut dyn Device], counters: &mut [u32]) -> Result<Boot, FlashFault> {
        devices.iter_mut().for_each(|device| device.set_actor(Actor::Bootloader));
        let result = self.boot_images(&mut Flashes(&mut *devices), counters);
        devices.iter_mut().for_each(|device| device.set_actor(Actor::Application));
        result
    }

    fn boot_images(&self, flashes: &mut Flashes<'_, '_>, counters: &mut [u32]) -> Result<Boot, FlashFault> {
        let count = self.config.images.len();
        let mut boot = Boot { images: [ImageBoot::default(); MAX_IMAGES], count };
        let mut plans = [Plan::Nothing; MAX_IMAGES];
        for (image, report) in boot.images.iter_mut().enumerate().take(count) {
            plans[image] = self.plan(flashes, image, counters, report)?;
            review(&mut plans[..=image], report);
        }
        if !self.dependencies_met(flashes, &plans)? {
            for (plan, report) in plans.iter_mut().zip(&mut boot.images) {
                if !matches!(plan, Plan::Nothing) {
                    report.refused = Some(Refused::Dependency);
                }
                *plan = Plan::Nothing;
            }
        }
        for (image, (plan, report)) in plans.iter().zip(&mut boot.images).enumerate().take(count) {
            self.perform(flashes, image, *plan, &mut report.action)?;
        }
        for (image, report) in boot.images.iter_mut().enumerate().take(count) {
            self.check_primary(flashes, image, report)?;
            self.raise_counter(flashes, image, counters, report)?;
        }
        for &image in self.config.set_img_ok.iter().filter(|image| **image < count) {
            self.confirm(flashes, image)?;
        }
        Ok(boot)
    }

    /// Finishes an interrupted swap, or finds out what the trailers ask for and whether it may be done.
    fn plan(
        &self,
        flashes: &mut Flashes<'_, '_>,
        image: usize,
        counters: &[u32],
        report: &mut ImageBoot,
    ) -> Result<Plan, FlashFault> {
        if let Mode::SwapStatus(_) = self.config.mode {
            self.import(flashes, image)?;
        }
        let interrupted = self.interrupted(flashes, image)?;
        let swap = match interrupted {
            Some(job) if job.done > 0 => {
                self.finish(flashes, job)?;
                report.action = Action::Resumed(job.swap);
                return Ok(Plan::Nothing);
            }
            Some(job) => job.swap,
            None => {
                let (primary, secondary) = self.states(flashes, image)?;
                decide(self.config.mode, &primary, &secondary)
            }
        };
        if swap == SwapType::None {
            return Ok(Plan::Nothing);
        }
        if let Err(refused) = self.judge(flashes, image, swap, counters, interrupted.is_some())? {
            report.refused = Some(refused);
            self.refuse(flashes, image, swap, refused, interrupted.is_some())?;
            return Ok(Plan::Nothing);
        }
        let slots = self.slots(image);
        let primary = parse(flashes, Place { area: slots.primary, base: 0 })?.ok();
        let secondary = parse(flashes, self.secondary_place(flashes, image, swap))?.ok();
        let length = |parsed: &Option<super::validate::Parsed>| parsed.map_or(0, |parsed| parsed.total());
        let tlvs =
            |parsed: &Option<super::validate::Parsed>| parsed.map_or(0, |parsed| parsed.unprotected_size());
        let size = length(&primary).max(length(&secondary));
        Ok(match interrupted {
            // Where images reach into the trailer's sector a swap begins in the scratch area, also one found begun.
            Some(job) if !self.shares_trailer(flashes, &Job { size, ..job }) => {
                Plan::Continue(Job { size, ..job })
            }
            Some(_) | None => Plan::Start { swap, size, tlv_sizes: (tlvs(&primary), tlvs(&secondary)) },
        })
    }

    /// Where the image lies that is to be installed. With swap-offset an update is one sector up, a revert is not.
    fn secondary_place(&self, flashes: &Flashes<'_, '_>, image: usize, swap: SwapType) -> Place {
        let area = self.slots(image).secondary;
        let base = match (self.config.mode, swap) {
            (Mode::SwapOffset, SwapType::Test | SwapType::Perm) => flashes.config(area).sector_size,
            (Mode::SwapOffset, SwapType::Revert | SwapType::None | SwapType::Fail)
            | (Mode::Overwrite | Mode::SwapScratch | Mode::SwapMove | Mode::SwapStatus(_), _) => 0,
        };
        Place { area, base }
    }

    /// May the image in the secondary be installed?
    fn judge(
        &self,
        flashes: &mut Flashes<'_, '_>,
        image: usize,
        swap: SwapType,
        counters: &[u32],
        resumed: bool,
    ) -> Result<Result<(), Refused>, FlashFault> {
        let slots = self.slots(image);
        let place = self.secondary_place(flashes, image, swap);
        // A swap that was cut may already have put the old image there.
        if !resumed && place.base > 0 && has_magic(flashes, Place { base: 0, ..place })? {
            return Ok(Err(Refused::WrongOffset));
        }
        let limit = self.limit_of(flashes, &slots);
        let record = match self.validate(flashes, place, limit)? {
            Ok(record) => record,
            Err(refused) => return Ok(Err(refused)),
        };
        if swap == SwapType::Revert {
            return Ok(Ok(()));
        }
        if self.config.downgrade_prevention
            && let Ok(running) = self.validate(flashes, Place { area: slots.primary, base: 0 }, None)?
        {
            let older = if self.config.rollback_protection && self.config.mode != Mode::Overwrite {
                record.security_counter < running.security_counter
            } else {
                record.version.compare(&running.version, self.config.compare_build) == Ordering::Less
            };
            if older {
                return Ok(Err(Refused::Downgrade));
            }
        }
        let stored = counters.get(image).copied().unwrap_or(0);
        if self.config.rollback_protection && record.security_counter.is_none_or(|counter| counter < stored) {
            return Ok(Err(Refused::SecurityCounter));
        }
        Ok(Ok(()))
    }

    /// What a refused image leaves behind.
    fn refuse(
        &self,
        flashes: &mut Flashes<'_, '_>,
        image: usize,
        swap: SwapType,
        refused: Refused,
        resumed: bool,
    ) -> Result<(), FlashFault> {
        let slots = self.slots(image);
        let is_status = matches!(self.config.mode, Mode::SwapStatus(_));
        match (refused, self.config.mode) {
            // Evaluated again at each boot.
            (Refused::NoImage, Mode::Overwrite) => {}
            (Refused::NoImage, Mode::SwapStatus(_)) => {
                self.clear_record(flashes, Which::Secondary(image))?;
                self.erase_slot_trailer(flashes, slots.secondary)?;
            }
            (Refused::NoImage, Mode::SwapScratch | Mode::SwapMove | Mode::SwapOffset) => {
                self.erase_trailer(flashes, slots.secondary)?;
                // A revert that can never be done: only swap-move clears what asks for it, the others refuse it at each boot.
                if swap == SwapType::Revert && self.config.mode == Mode::SwapMove {
                    self.erase_trailer(flashes, slots.primary)?;
                }
            }
            (_, _) => {
                erase_whole(flashes, slots.secondary)?;
                if is_status {
                    self.clear_record(flashes, Which::Secondary(image))?;
                }
            }
        }
        if is_status && refused == Refused::NoImage && swap == SwapType::Revert {
            self.record_image_ok(flashes, image)?;
        }
        if resumed && refused != Refused::NoImage {
            self.mark_failed(flashes, image)?;
        }
        Ok(())
    }

    /// Type FAIL: the primary is marked good, so that nothing is reverted to the image that was bad.
    fn mark_failed(&self, flashes: &mut Flashes<'_, '_>, image: usize) -> Result<(), FlashFault> {
        let (state, _) = self.states(flashes, image)?;
        if state.image_ok != Flag::Unset {
            return Ok(());
        }
        match self.config.mode {
            Mode::SwapStatus(_) => self.record_image_ok(flashes, image),
            Mode::Overwrite | Mode::SwapScratch | Mode::SwapMove | Mode::SwapOffset => {
                let area = self.slots(image).primary;
                self.write_flag(flashes, area, self.fields(area).image_ok, FLAG_SET)
            }
        }
    }

    /// Whether every image would find the versions it needs, were all plans carried out.
    fn dependencies_met(
        &self,
        flashes: &mut Flashes<'_, '_>,
        plans: &[Plan; MAX_IMAGES],
    ) -> Result<bool, FlashFault> {
        for image in 0..self.config.images.len() {
            let place = self.future(flashes, image, plans);
            let met = Self::dependencies(flashes, place, |flashes, other, wanted| {
                if usize::from(other) >= self.config.images.len() {
                    return Ok(false);
                }
                let place = self.future(flashes, usize::from(other), plans);
                let Ok(parsed) = parse(flashes, place)? else { return Ok(false) };
                Ok(parsed.version.compare(&wanted, self.config.compare_build) != Ordering::Less)
            })?;
            if !met {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Where the image lies that will be in the primary.
    fn future(&self, flashes: &Flashes<'_, '_>, image: usize, plans: &[Plan; MAX_IMAGES]) -> Place {
        match plans[image] {
            Plan::Nothing => Place { area: self.slots(image).primary, base: 0 },
            Plan::Start { swap, .. } | Plan::Continue(Job { swap, .. }) => {
                self.secondary_place(flashes, image, swap)
            }
        }
    }

    fn perform(
        &self,
        flashes: &mut Flashes<'_, '_>,
        image: usize,
        plan: Plan,
        action: &mut Action,
    ) -> Result<(), FlashFault> {
        match plan {
            Plan::Nothing => Ok(()),
            Plan::Continue(job) => {
                *action = Action::Resumed(job.swap);
                self.finish(flashes, job)
            }
            Plan::Start { .. } if self.config.mode == Mode::Overwrite => {
                *action = Action::Permanent;
                self.overwrite(flashes, image)
            }
            Plan::Start { swap, size, tlv_sizes } => {
                *action = match swap {
                    SwapType::Test => Action::Test,
                    SwapType::Perm => Action::Permanent,
                    SwapType::Revert => Action::Revert,
                    SwapType::None | SwapType::Fail => Action::None,
                };
                let job = self.begin(flashes, image, swap, size, tlv_sizes)?;
                self.finish(flashes, job)
            }
        }
    }

    /// Copies the secondary with its trailer bytes over the primary. Until its first sector is erased, the secondary still
    /// asks for the same, so a copy that was cut begins again.
    fn overwrite(&self, flashes: &mut Flashes<'_, '_>, image: usize) -> Result<(), FlashFault> {
        let slots = self.slots(image);
        erase_whole(flashes, slots.primary)?;
        flashes.copy(slots.secondary, 0, slots.primary, 0, slots.primary.size)?;
        flashes.erase(slots.secondary, 0, 1)?;
        flashes.erase(slots.secondary, slots.secondary.size - 1, slots.secondary.size)
    }

    fn check_primary(
        &self,
        flashes: &mut Flashes<'_, '_>,
        image: usize,
        report: &mut ImageBoot,
    ) -> Result<(), FlashFault> {
        let place = Place { area: self.slots(image).primary, base: 0 };
        let unchecked =
            Self { config: super::Config { validation: super::Validation::HashOnly, ..self.config } };
        let judged = if self.config.validate_primary {
            self.validate(flashes, place, None)?
        } else {
            // The jump needs no more than the magic; what the image says of itself is read for the report.
            match unchecked.validate(flashes, place, None)? {
                Err(_) if has_magic(flashes, place)? => Ok(ImageRecord::default()),
                judged => judged,
            }
        };
        match judged {
            Ok(record) => report.running = Some(record),
            Err(refused) => report.refused = Some(refused),
        }
        Ok(())
    }

    /// `set_img_ok`: what was swapped in stays.
    fn confirm(&self, flashes: &mut Flashes<'_, '_>, image: usize) -> Result<(), FlashFault> {
        let area = self.slots(image).primary;
        let (at, mut magic) = (self.fields(area).image_ok, [0; 16]);
        flashes.read(area, area.size - 16, &mut magic)?;
        let is_swapped = self.config.mode != Mode::Overwrite && magic == self.magic();
        if !is_swapped || flashes.read_byte(area, at)? == FLAG_SET {
            return Ok(());
        }
        self.write_flag(flashes, area, at, FLAG_SET)
    }

    /// The stored counter follows the primary as soon as there is no way back from it.
    fn raise_counter(
        &self,
        flashes: &mut Flashes<'_, '_>,
        image: usize,
        counters: &mut [u32],
        report: &ImageBoot,
    ) -> Result<(), FlashFault> {
        if !self.config.rollback_protection {
            return Ok(());
        }
        let (primary, _) = self.states(flashes, image)?;
        let settled = match report.action {
            Action::Permanent | Action::Resumed(SwapType::Perm) => true,
            Action::None => primary.magic != Magic::Good || primary.image_ok == Flag::Set,
            Action::Test | Action::Revert | Action::Resumed(_) => false,
        };
        let counter = report.running.and_then(|record| record.security_counter);
        if let (true, Some(stored), Some(counter)) = (settled, counters.get_mut(image), counter) {
            *stored = (*stored).max(counter);
        }
        Ok(())
    }
}

/// `boot_review_image_swap_types`: images move in one direction. Where the last of these is under way to something new, an
/// earlier one that seems to wait for its revert was swapped before the power went, in the same update, and stays.
fn review(plans: &mut [Plan], report: &ImageBoot) {
    let Some((last, earlier)) = plans.split_last_mut() else { return };
    let goes_on = match (report.action, report.refused, *last) {
        (Action::Resumed(_), _, _) => true,
        // Type FAIL. An empty slot is type NONE.
        (_, Some(refused), _) => refused != Refused::NoImage,
        (_, None, plan) => matches!(plan.swap(), SwapType::Test | SwapType::Perm),
    };
    for plan in earlier.iter_mut().filter(|plan| goes_on && plan.swap() == SwapType::Revert) {
        *plan = Plan::Nothing;
    }
}

fn erase_whole(flashes: &mut Flashes<'_, '_>, area: Area) -> Result<(), FlashFault> {
    flashes.erase(area, 0, area.size)
}
