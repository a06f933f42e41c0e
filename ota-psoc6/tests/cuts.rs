//! The power is cut before, inside and after every step that changes flash, in an update on every map of a PSoC 62.

mod support;

use ota_psoc6::layout::psoc62;
use ota_psoc6::model::{Chip, Family, Model, When};
use ota_psoc6::syscall::DirectCache;
use ota_psoc6::watchdog::Watchdog;
use support::{Board, Rig, sweep};

struct Psoc62;

impl Board for Psoc62 {
    type Dog<'m> = Watchdog<Chip<'m>>;
    type Cache<'m> = DirectCache;
    const FAMILY: Family = Family::Psoc62;

    fn dog(model: &Model) -> Self::Dog<'_> {
        Watchdog::new(model.chip())
    }

    fn cache(_: &Model) -> DirectCache {
        DirectCache
    }
}

const PAYLOAD: usize = 6000;

macro_rules! sweeps {
    ($($name:ident: $map:ident;)*) => {$(
        #[test]
        fn $name() {
            let (cuts, mixed) = sweep::<Psoc62>(psoc62::$map, PAYLOAD, &When::ALL);
            assert!(cuts >= 50 && mixed == 0, "{cuts}");
        }
    )*};
}

sweeps! {
    internal_overwrite: INTERNAL_OVERWRITE;
    external_overwrite: EXTERNAL_OVERWRITE;
    internal_swap: INTERNAL_SWAP;
    external_swap: EXTERNAL_SWAP;
    internal_swap_large: INTERNAL_SWAP_LARGE;
    external_swap_large: EXTERNAL_SWAP_LARGE;
}

/// The write of the request, torn behind each of its bytes, where the trailer shares its sector with the image: the request is
/// whole, or there is none and the update is made again. Bytes below the fields hold what erased flash holds, so only a few of
/// them are looked at.
#[test]
fn the_request_torn_in_every_byte_on_the_external_map() {
    // Reaches into the last sector.
    let payload = 0x18_0000 + 5000;
    let map = psoc62::EXTERNAL_OVERWRITE;
    let rig = || {
        let mut rig = Rig::new::<Psoc62>(map, payload);
        rig.model.poke(map.secondary(0).address(), &rig.new[0]);
        rig.resumes = true;
        rig
    };
    let whole = rig();
    let ending = whole.live::<Psoc62>();
    assert_eq!((ending.lives, whole.model.violations()), (2, vec![]));
    let mut again = 0;
    for bytes in [0, 1, 256].into_iter().chain(512 - 41..512) {
        let rig = rig();
        rig.model.cut(ending.steps - 1, When::Bytes(bytes));
        let torn = rig.live::<Psoc62>();
        assert_eq!(rig.model.violations(), [], "{bytes} bytes");
        again += u32::from(torn.lives == 3);
    }
    assert_eq!(again, 3 + 41, "without its last byte there is no request");
}
