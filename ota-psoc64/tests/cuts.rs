//! Both images of a PSoC 64 in one update, with the power cut before, inside and after every step that changes flash.

#[path = "../../ota-psoc6/tests/support/mod.rs"]
mod support;

use ota_psoc6::model::{Chip, Family, Model, When};
use ota_psoc64::layout;
use ota_psoc64::pra::{Cache, Message, Pra, Watchdog};
use support::{Board, Rig, sweep};

struct Psoc64;

/// In the application's RAM, below where the model hands out blocks.
fn pra(model: &Model) -> Pra<Chip<'_>> {
    Pra::new(model.chip(), Message::in_model(0x0807_0000))
}

impl Board for Psoc64 {
    type Dog<'m> = Watchdog<Chip<'m>>;
    type Cache<'m> = Cache<Chip<'m>>;
    const FAMILY: Family = Family::Psoc64;

    fn dog(model: &Model) -> Self::Dog<'_> {
        Watchdog::new(pra(model))
    }

    fn cache(model: &Model) -> Self::Cache<'_> {
        Cache::new(pra(model))
    }
}

const PAYLOAD: usize = 6000;

/// The images need each other, and the bootloader keeps what it has installed of the secure firmware. A cut between the two
/// requests leaves both old; one behind the swap, before the application is confirmed, leaves both new, since the bootloader
/// drops a revert that the secure firmware does not agree with.
#[test]
fn swap() {
    let (cuts, mixed) = sweep::<Psoc64>(layout::TFM, PAYLOAD, &When::ALL);
    assert!(cuts >= 150 && mixed == 0, "{cuts} cuts, {mixed} mixtures");
}

#[test]
fn overwrite() {
    let (cuts, mixed) = sweep::<Psoc64>(layout::TFM_OVERWRITE, PAYLOAD, &[When::Before, When::Half]);
    assert!(cuts >= 60 && mixed == 0, "{cuts} cuts, {mixed} mixtures");
}

#[test]
fn overwrite_of_the_older_policy() {
    let (cuts, mixed) = sweep::<Psoc64>(layout::OLDER, PAYLOAD, &[When::Blank]);
    assert!(cuts >= 30 && mixed == 0, "{cuts} cuts, {mixed} mixtures");
}

/// An application of more than 0x1BC00 bytes crosses the first sector boundary of its slot in the middle of a block.
#[test]
fn an_image_over_the_first_sector_boundary() {
    let rig = Rig::new::<Psoc64>(layout::TFM, 0x1_BC00 + 9000);
    let ending = rig.live::<Psoc64>();
    assert_eq!((ending.lives, ending.mixed, rig.model.violations()), (2, 0, vec![]));
}

/// A bootloader that does not confirm the secure firmware takes it back at the next boot, unless the confirmed application needs it.
#[test]
fn secure_firmware_that_nobody_confirms_stays_only_with_an_application_that_needs_it() {
    for (needs, set_img_ok, kept) in
        [(true, true, 0b11), (true, false, 0b11), (false, true, 0b11), (false, false, 0b01)]
    {
        let mut rig = Rig::with_needs::<Psoc64>(layout::TFM, PAYLOAD, needs);
        rig.set_img_ok = set_img_ok;
        let ending = rig.live::<Psoc64>();
        assert_eq!((ending.lives, ending.mixed, ending.kept), (2, 0, kept), "{needs} {set_img_ok}");
        assert_eq!(rig.model.violations(), []);
    }
}

/// Without dependencies the requests and the confirm can be parted, and always the same way: secure firmware new, application old.
#[test]
fn without_dependencies_one_mixture_is_possible() {
    let ending = Rig::with_needs::<Psoc64>(layout::TFM, PAYLOAD, false).live::<Psoc64>();
    let (mut mixed, mut new) = (0, 0);
    for step in ending.steps - 4..ending.steps {
        for when in [When::Before, When::Blank, When::After] {
            let rig = Rig::with_needs::<Psoc64>(layout::TFM, PAYLOAD, false);
            rig.model.cut(step, when);
            let ending = rig.live::<Psoc64>();
            assert_eq!(rig.model.violations(), [], "step {step} {when:?}");
            mixed += u32::from(ending.mixed > 0);
            new |= ending.mixed_new;
        }
    }
    assert!(mixed > 0 && new == 0b10, "{mixed} cuts, images {new:#b}");
}
