//! Trailers made by imgtool 2.5.0 and by bootutil 2.4.0 on simulated flash. The source of truth for `trailer.rs`.

use ota_core::geometry::{BootMode, MaxAlign};
use ota_core::trailer::{Flag, Magic, Pending, SwapType, Trailer, TrailerLayout, swap_type};
use sha2::{Digest, Sha256};

const SLOT: u32 = 0x1_0000;

const MAGIC_8: [u8; 16] = *b"\x77\xc2\x95\xf3\x60\xd2\xef\x7f\x35\x52\x50\x0f\x2c\xb6\x79\x80";
const MAGIC_16: [u8; 16] = *b"\x10\x00\x2d\xe1\x5d\x29\x41\x0b\x8d\x77\x67\x9c\x11\x0f\x1f\x8a";
const MAGIC_32: [u8; 16] = *b"\x20\x00\x2d\xe1\x5d\x29\x41\x0b\x8d\x77\x67\x9c\x11\x0f\x1f\x8a";

fn layout(max_align: MaxAlign) -> TrailerLayout {
    TrailerLayout::new(SLOT, max_align, BootMode::SwapMove)
}

/// SHA-256 of the whole trailer, `-M 128`: `imgtool sign --pad [--confirm] --align W --max-align M -R EV -S 0x10000` and
/// bootutil's `boot_set_pending(0)` and `boot_set_pending(1)`.
#[rustfmt::skip]
const WHOLE: [(u32, MaxAlign, u8, u32, [&str; 4]); 6] = [
    (1, MaxAlign::M8, 0xff, 0x1b0, [
        "18f6273d47cd8becc3599d290bdb02b771a76d8982d60ac93c5315d5f5952191",
        "e2c9b145565d425114b1222bad93d0c1d6f92ca33c13ced9483d559386c78f57",
        "e65806ec6d7760b51268cc30c740d414073d14bc3529fd9be490ba4408b9a6e5",
        "e3e35caff5418a6fac005d8209ccc705b98dee234f840dff11bfed60a8817f56"]),
    (1, MaxAlign::M8, 0x00, 0x1b0, [
        "d950ad390f82361bb0ca7213271bb69db410b0857c162162f67187b0431ec20c",
        "370a083ffd93ca95cf01a5065503d9df3357c8a2b5c57d61e94bf7b1fea30494",
        "c5bbf935e9d90aff0575fe5a0c7d913849ad24dcd1d8616fb83a5c5efa373c39",
        "09fe9b6c755c6aefe9a13769e85a653fbaa2988454538502f3446741aebd4e4d"]),
    (8, MaxAlign::M8, 0xff, 0xc30, [
        "6f4186d87a44449c25325161e12ae6293581386cc0e6394e1c252605d3d3b6dd",
        "64139f0ba866ba69f6fec0a2e5c3703ce84c2d77c2ee6e8f7ed6b880fe26c814",
        "62f9b75224b4d370aeca53707abe5c7e5ce553ddcd30c503ab02b707cba9aa43",
        "4e09762ccbcf9bcc884c225f013b4f1dcfe836916fdc68666e329b8c35fd961e"]),
    (8, MaxAlign::M8, 0x00, 0xc30, [
        "da2a1a3549e5e0b9a24f182cdbe81c16b29b994830843d45bfde3e1201d9172f",
        "fc978fc2f8d93810bcb185d57e80351ebda27c0ad65c207c22e6d9f0bf08b8ad",
        "8e8b3b8dcabdbe7ee1a5921e763c298913ec574ca68c883ef5513e667f5aec70",
        "056319ec74ad7299a635417fd4438b24721db4fd2273bc3374122511c60d0c36"]),
    (32, MaxAlign::M32, 0xff, 0x30a0, [
        "88575941951c8d675f6e46004024390679491315c83dd14bc9e0f8aca7eb0203",
        "73f9a4b31cb889057e9f5fcfb3e988b61e2b9a321f6ccc3f6db391f1984cf709",
        "15508d69357f1d42998e062449e2eec65ba612f2f6772ab1d90f4ebf44da6511",
        "2c13ba30d84231e8b14409dbf2522211bbc589ce21eefea80e1a28ba11ae6a30"]),
    (32, MaxAlign::M32, 0x00, 0x30a0, [
        "d2759dc010a5f1e535679b43547f274c763c05dcf764c52a10ae3161763c7028",
        "7b2b97b752ca448ca0517c4ac22d28aac05315ad05c01f60919169bc4c7d19be",
        "38945257c836c1d9b2ef124dae662f3794350fdc123305889ea24a1b7ea25d4e",
        "c279a7f8155f07d01195fefe245b8fb33285e369157e4419427dec795168b1c5"]),
];

/// `--max-align 16 --align 16 -M 16 -S 0x1000`: `--pad -R 0xff`, then `--pad --confirm -R 0`; the last 0x350 bytes.
const WHOLE_16: [&str; 2] = [
    "d50cfefd4687089c67c336ca38f3efee4d04a42d55daea991969466422f3b0e4",
    "c974b3466f8818817f5e70b755e8776c741fe5908b4bade7f9c47b93526910d2",
];

fn hex(bytes: impl AsRef<[u8]>) -> String {
    bytes.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn whole_trailers_match_imgtool_and_bootutil() {
    for (write_size, max_align, erased, size, hashes) in WHOLE {
        let layout = layout(max_align);
        assert_eq!(layout.size(write_size, 128), size);
        for (state, expected) in hashes.into_iter().enumerate() {
            let pending = if state % 2 == 0 { Pending::Test } else { Pending::Permanent };
            let trailer = (SLOT - size..SLOT).map(|at| match state {
                // imgtool leaves swap_info alone.
                0 | 1 if at == layout.swap_info() => erased,
                _ => layout.request_byte(pending, 0, erased, at),
            });
            let hash = hex(Sha256::digest(trailer.collect::<Vec<u8>>()));
            assert_eq!(hash, expected, "W {write_size} {max_align:?} erased {erased:#x} state {state}");
        }
    }
    let layout = TrailerLayout::new(0x1000, MaxAlign::M16, BootMode::SwapMove);
    assert_eq!(layout.size(16, 16), 0x350);
    for (pending, erased, expected) in
        [(Pending::Test, 0xff, WHOLE_16[0]), (Pending::Permanent, 0, WHOLE_16[1])]
    {
        let byte =
            |at| if at == layout.swap_info() { erased } else { layout.request_byte(pending, 0, erased, at) };
        assert_eq!(hex(Sha256::digest((0x1000 - 0x350..0x1000).map(byte).collect::<Vec<u8>>())), expected);
    }
}

#[test]
fn places_from_the_slot_end() {
    let back = |max_align, mode| {
        let layout = TrailerLayout::new(SLOT, max_align, mode);
        [layout.magic(), layout.image_ok(), layout.copy_done(), layout.swap_info(), layout.swap_size()]
            .map(|at| SLOT - at)
    };
    assert_eq!(back(MaxAlign::M8, BootMode::SwapMove), [16, 24, 32, 40, 48]);
    assert_eq!(back(MaxAlign::M16, BootMode::SwapScratch), [16, 32, 48, 64, 80]);
    assert_eq!(back(MaxAlign::M32, BootMode::Overwrite), [16, 64, 96, 128, 160]);
    assert_eq!(back(MaxAlign::M8, BootMode::SwapOffset), [16, 24, 32, 40, 56]);
    assert_eq!(back(MaxAlign::M16, BootMode::SwapOffset), [16, 32, 48, 64, 96]);
    assert_eq!(back(MaxAlign::M32, BootMode::SwapOffset), [16, 64, 96, 128, 192]);
}

#[test]
fn reserved_sizes() {
    #[rustfmt::skip]
    let table = [
        (1, MaxAlign::M8, [0xF0, 0x1B0, 0x330, 0x630, 0x17A0, 0x2A30]),
        (2, MaxAlign::M8, [0x1B0, 0x330, 0x630, 0xC30, 0x2F10, 0x5430]),
        (4, MaxAlign::M8, [0x330, 0x630, 0xC30, 0x1830, 0x5DF0, 0xA830]),
        (8, MaxAlign::M8, [0x630, 0xC30, 0x1830, 0x3030, 0xBBB0, 0x15030]),
        (16, MaxAlign::M16, [0xC50, 0x1850, 0x3050, 0x6050, 0x17750, 0x2A050]),
        (32, MaxAlign::M32, [0x18A0, 0x30A0, 0x60A0, 0xC0A0, 0x2EEA0, 0x540A0]),
    ];
    for (write_size, max_align, sizes) in table {
        let all = [64, 128, 256, 512, 2000, 3584].map(|sectors| layout(max_align).size(write_size, sectors));
        assert_eq!(all, sizes, "W {write_size}");
    }
    let offset = |max_align, write_size, sectors| {
        TrailerLayout::new(SLOT, max_align, BootMode::SwapOffset).size(write_size, sectors)
    };
    assert_eq!([offset(MaxAlign::M8, 1, 128), offset(MaxAlign::M8, 1, 512)], [0x138, 0x438]);
    assert_eq!([offset(MaxAlign::M8, 8, 128), offset(MaxAlign::M8, 8, 512)], [0x838, 0x2038]);
    assert_eq!([offset(MaxAlign::M32, 32, 128), offset(MaxAlign::M32, 32, 512)], [0x20C0, 0x80C0]);
    assert_eq!(layout(MaxAlign::M8).size(32, u32::MAX), u32::MAX);
}

/// The info part of a primary as bootutil leaves it: bytes back from the slot end, and values.
fn tail(max_align: MaxAlign, erased: u8, fields: &[(usize, u8)]) -> Vec<u8> {
    let (size, magic) = match max_align {
        MaxAlign::M8 => (40, MAGIC_8),
        MaxAlign::M16 => (64, MAGIC_16),
        MaxAlign::M32 => (128, MAGIC_32),
    };
    let mut tail = vec![erased; size];
    tail[size - 16..].copy_from_slice(&magic);
    for &(back, value) in fields {
        tail[size - back] = value;
    }
    tail
}

#[test]
fn primary_states_after_swaps() {
    for (max_align, [info, done, ok]) in
        [(MaxAlign::M8, [40, 32, 24]), (MaxAlign::M16, [64, 48, 32]), (MaxAlign::M32, [128, 96, 64])]
    {
        for erased in [0x00, 0xff] {
            let read = |fields: &[(usize, u8)]| {
                Trailer::decode(&tail(max_align, erased, fields), &layout(max_align), erased).unwrap()
            };
            let good = Trailer { magic: Magic::Good, copy_done: Flag::Set, ..Trailer::UNSET };
            // After a test swap, confirm, a permanent swap, a revert.
            let test = Trailer { swap_info: (SwapType::Test, 0), ..good };
            assert_eq!(read(&[(info, 2), (done, 1)]), test);
            assert_eq!(read(&[(info, 2), (done, 1), (ok, 1)]), Trailer { image_ok: Flag::Set, ..test });
            let permanent = Trailer { swap_info: (SwapType::Permanent, 0), image_ok: Flag::Set, ..good };
            assert_eq!(read(&[(info, 3), (done, 1), (ok, 1)]), permanent);
            let reverted = Trailer { swap_info: (SwapType::Revert, 0), ..permanent };
            assert_eq!(read(&[(info, 4), (done, 1), (ok, 1)]), reverted);
            // Image 5 in the high nibble; types without meaning.
            assert_eq!(read(&[(info, 0x52)]).swap_info, (SwapType::Test, 5));
            assert_eq!(read(&[(info, 0x55)]).swap_info, (SwapType::None, 0));
            assert_eq!(read(&[(info, erased)]).swap_info, (SwapType::None, 0));
            // The other memory's erased value is no flag.
            assert_eq!(read(&[(ok, !erased), (done, 3)]).image_ok, Flag::Bad);
            assert_eq!(read(&[(ok, !erased), (done, 3)]).copy_done, Flag::Bad);
        }
    }
}

#[test]
fn magic_good_unset_torn_and_foreign() {
    for erased in [0x00, 0xff] {
        assert_eq!(Magic::decode(&MAGIC_8, MaxAlign::M8, erased), Magic::Good);
        assert_eq!(Magic::decode(&[erased; 16], MaxAlign::M8, erased), Magic::Unset);
        assert_eq!(Magic::decode(&[!erased; 16], MaxAlign::M8, erased), Magic::Bad);
        assert_eq!(Magic::decode(&MAGIC_16, MaxAlign::M8, erased), Magic::Bad);
        assert_eq!(Magic::decode(&MAGIC_16, MaxAlign::M16, erased), Magic::Good);
        assert_eq!(Magic::decode(&MAGIC_32, MaxAlign::M32, erased), Magic::Good);
        for torn in 1..16 {
            let mut bytes = MAGIC_8;
            bytes[torn..].fill(erased);
            assert_eq!(Magic::decode(&bytes, MaxAlign::M8, erased), Magic::Bad, "{torn} bytes");
        }
    }
    assert_eq!(Trailer::decode(&[0xff; 39], &layout(MaxAlign::M8), 0xff), None);
    assert_eq!(Trailer::decode(&[0xff; 40], &layout(MaxAlign::M8), 0xff), Some(Trailer::UNSET));
}

#[test]
fn swap_status_requests_are_magic_and_image_ok_only() {
    let layout = TrailerLayout::new(SLOT, MaxAlign::M8, BootMode::SwapStatus);
    assert_eq!(layout.info_start(), SLOT - 24);
    let bytes =
        |pending| (SLOT - 40..SLOT).map(|at| layout.request_byte(pending, 0, 0, at)).collect::<Vec<u8>>();
    assert_eq!(bytes(Pending::Test), tail(MaxAlign::M8, 0, &[]));
    assert_eq!(bytes(Pending::Permanent), tail(MaxAlign::M8, 0, &[(24, 1)]));
}

#[test]
fn swap_table_in_order() {
    use Flag::{Bad, Set, Unset};
    let flags = [Set, Bad, Unset];
    let trailer = |magic, image_ok, copy_done| Trailer { magic, image_ok, copy_done, ..Trailer::UNSET };
    for mode in [
        BootMode::Overwrite,
        BootMode::SwapScratch,
        BootMode::SwapMove,
        BootMode::SwapOffset,
        BootMode::SwapStatus,
    ] {
        for magic in [Magic::Good, Magic::Bad, Magic::Unset] {
            for (image_ok, copy_done) in flags.iter().flat_map(|&ok| flags.map(|done| (ok, done))) {
                let primary = trailer(magic, image_ok, copy_done);
                let own = match (magic, image_ok, copy_done) {
                    (Magic::Good, Unset, Set) => SwapType::Revert,
                    _ => SwapType::None,
                };
                for other_done in flags {
                    let with = |magic, ok| swap_type(mode, &primary, &trailer(magic, ok, other_done));
                    let offset_revert = mode == BootMode::SwapOffset && other_done == Set;
                    let test = if offset_revert { SwapType::Revert } else { SwapType::Test };
                    assert_eq!(with(Magic::Good, Unset), test, "{mode:?} {primary:?} {other_done:?}");
                    assert_eq!(with(Magic::Good, Set), SwapType::Permanent);
                    assert_eq!(with(Magic::Good, Bad), own);
                    for ok in flags {
                        assert_eq!(with(Magic::Bad, ok), own);
                        assert_eq!(with(Magic::Unset, ok), own);
                    }
                }
            }
        }
    }
}
