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

const MAGIC: [u8; 16] = *b"\x77\xc2\x95\xf3\x60\xd2\xef\x7f\x35\x52\x50\x0f\x2c\xb6\x79\x80";

/// The last 48 bytes of a slot: erased, but for the magic and these bytes at these distances from its end.
fn tail(erased: u8, bytes: &[(usize, u8)]) -> Vec<u8> {
    let mut tail = vec![erased; 32];
    tail.extend(MAGIC);
    for (back, byte) in bytes {
        tail[48 - back] = *byte;
    }
    tail
}

/// The request and the confirm as flash holds them, against the bytes of MCUboot's `boot_set_pending(0)` (magic and swap info 2) and
/// imgtool's `--pad` (magic alone, which is all a status-swap bootloader takes), for both erased values.
#[test]
fn trailers_are_those_of_mcuboot() {
    for (map, erased, request) in [
        (psoc62::INTERNAL_OVERWRITE, 0x00, &[(0x28, 2)][..]),
        (psoc62::EXTERNAL_OVERWRITE, 0xFF, &[(0x28, 2)]),
        (psoc62::INTERNAL_SWAP, 0x00, &[]),
        (psoc62::EXTERNAL_SWAP, 0xFF, &[]),
    ] {
        let rig = Rig::new::<Psoc62>(map, PAYLOAD);
        let name = map.spec().name;
        let held = |address: u32| {
            let mut held = vec![0; 48];
            rig.model.peek(address - 48, &mut held);
            held
        };
        rig.one_life::<Psoc62>();
        assert_eq!(held(map.secondary(0).end()), tail(erased, request), "{name}: the request");
        rig.boot();
        if request.is_empty() {
            // The bootloader's own trailer, which the confirm adds `image_ok` to: swap size, swap info 2, copy done.
            let before = held(map.primary(0).end());
            let size = rig.new[0].len().max(rig.old[0].len()) as u32;
            assert_eq!(before[..4], size.to_le_bytes(), "{name}: swap size");
            assert_eq!(before[4..], tail(0x00, &[(0x28, 2), (0x20, 1)])[4..], "{name}: on trial");
            rig.one_life::<Psoc62>();
            let after = held(map.primary(0).end());
            assert_eq!(after[4..], tail(0x00, &[(0x28, 2), (0x20, 1), (0x18, 1)])[4..], "{name}: confirmed");
        }
        assert_eq!(rig.model.violations(), [], "{name}");
    }
}

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
