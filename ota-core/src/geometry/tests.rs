extern crate std;

use super::*;

const PLAIN: SlotLayout = SlotLayout {
    start: 0,
    size: 0x6_0000,
    sector_size: 4096,
    write_size: 8,
    erased: 0xFF,
    reprogram: Reprogram::Allowed,
    rewrite: false,
    erase_ms: 0,
};

const ROWS: SlotLayout = SlotLayout { sector_size: 512, write_size: 512, erased: 0, rewrite: true, ..PLAIN };

fn slot(start: u32, size: u32, sector_size: u32, write_size: u32) -> Geometry {
    Geometry::new(SlotLayout { start, size, sector_size, write_size, ..PLAIN }).unwrap()
}

fn pair(
    primary: Geometry,
    secondary: Geometry,
    mode: BootMode,
    boot_write_size: u32,
    max_sectors: u32,
) -> ImageSlots {
    ImageSlots { primary, secondary, mode, max_align: MaxAlign::M8, boot_write_size, max_sectors }
}

/// Slot size, sector size, sectors, boot write size; usable bytes with scratch, move, offset, overwrite (bootutil 2.4.0).
#[test]
fn limits_of_bootutil() {
    // Minus: 48 bytes of trailer in its first sector, 51 or 72 in scratch make 3 or 24 bytes of padding.
    #[rustfmt::skip]
    let table = [
        (0xEE000, 512, 1904, 1, [0xEC980, 0xEC600, 0xECE00, 0xEDFD8]),
        (0xEE000, 512, 1904, 8, [0xE2D50, 0xE2A00, 0xE6600, 0xEDFD8]),
        (0x1C0000, 512, 3584, 1, [0x1BD5D0 - 3, 0x1BD200, 0x1BE000, 0x1BFFD8]),
        (0x1C0000, 512, 3584, 8, [0x1AAFD0 - 24, 0x1AAC00, 0x1B1C00, 0x1BFFD8]),
        (0x11C000, 512, 2272, 8, [0x10EAD0, 0x10E800, 0x112E00, 0x11BFD8]),
        (0x50000, 512, 640, 8, [0x4C3D0 - 24, 0x4C000, 0x4D400, 0x4FFD8]),
        (0x60000, 4096, 96, 8, [0x5F6D0, 0x5E000, 0x5E000, 0x5FFD8]),
    ];
    let modes = [BootMode::SwapScratch, BootMode::SwapMove, BootMode::SwapOffset, BootMode::Overwrite];
    for (size, sector_size, sectors, write_size, expected) in table {
        let slot = slot(0, size, sector_size, write_size);
        let limit =
            |mode| ImageLayout::new(pair(slot, slot, mode, write_size, sectors)).unwrap().max_image_size();
        assert_eq!(modes.map(limit), expected, "{size:#x} {write_size}");
    }
    for (max_align, limit) in [(MaxAlign::M16, 0x6_0000 - 64), (MaxAlign::M32, 0x6_0000 - 128)] {
        let slot = slot(0, 0x6_0000, 4096, 16);
        let slots = ImageSlots { max_align, ..pair(slot, slot, BootMode::Overwrite, 16, 128) };
        assert_eq!(ImageLayout::new(slots).unwrap().max_image_size(), limit);
    }
}

#[test]
fn image_bytes_stay_out_of_trailer_units() {
    let rows = Geometry::new(SlotLayout { size: 0xE_E000, ..ROWS }).unwrap();
    let layout = |mode| ImageLayout::new(pair(rows, rows, mode, 8, 2000)).unwrap();
    assert_eq!(layout(BootMode::Overwrite).max_image_size(), 0xE_DE00);
    assert_eq!(layout(BootMode::SwapStatus).max_image_size(), 0xE_DE00);
    assert_eq!(layout(BootMode::SwapStatus).trailer_sectors(), 1903..1904);
    // A page-programmed secondary: the last page holds the request.
    let pages = slot(0, 0xE_E000, 0x1_0000, 512);
    let layout = ImageLayout::new(pair(rows, pages, BootMode::Overwrite, 8, 2000)).unwrap();
    assert_eq!(layout.max_image_size(), 0xE_DE00);
}

#[test]
fn status_mode_keeps_out_of_the_sector_with_the_flags() {
    let rows = |size| Geometry::new(SlotLayout { size, ..ROWS }).unwrap();
    let external = |start, size| slot(start, size, 0x4_0000, 512);
    let limit = |primary, secondary| {
        ImageLayout::new(pair(primary, secondary, BootMode::SwapStatus, 8, 3584))
            .map(|layout| layout.max_image_size())
    };
    assert_eq!(limit(rows(0x1C_0000), external(0, 0x1C_0000)), Ok(0x18_0000));
    assert_eq!(limit(rows(0x1C_0000), external(0x200, 0x1C_0000)), Ok(0x1B_FE00));
    assert_eq!(limit(rows(0x11_C000), external(0x2_4400, 0x11_C000)), Ok(0x11_BC00));
    // Magic and image_ok in two sectors: the import would erase one of them only.
    let split = slot(16, 0x1_0000, 4096, 16);
    assert_eq!(limit(split, split), Err(GeometryError::TrailerSplit));
}

#[test]
fn unaligned_slot_of_the_psoc_64() {
    let geometry = slot(0x2_4400, 0x11_C000, 0x4_0000, 512);
    assert_eq!(geometry.sector_count(), 6);
    assert_eq!(geometry.covered(), 0..0x18_0000);
    assert_eq!(geometry.sector_range(0), 0..0x1_BC00);
    assert_eq!(geometry.sector_range(1), 0x1_BC00..0x5_BC00);
    assert_eq!(geometry.sector_range(5), 0x11_BC00..0x11_C000);
    assert_eq!(geometry.sector_range(6), 0x11_C000..0x11_C000);
    assert_eq!(geometry.sector_range(u32::MAX), 0x11_C000..0x11_C000);
    for (at, sector) in [(0, 0), (0x1_BBFF, 0), (0x1_BC00, 1), (0x11_BFFF, 5), (u32::MAX, 5)] {
        assert_eq!(geometry.sector_of(at), sector, "{at:#x}");
    }
    assert!(geometry.is_disjoint(&slot(0x18_0000, 0x4_0000, 0x4_0000, 512)));
    assert!(!geometry.is_disjoint(&slot(0x14_0400, 0x200, 0x4_0000, 512)));
}

#[test]
fn sectors_partition_every_slot() {
    for start in [0, 512, 0xE00] {
        for size in [512, 1024, 4096, 0x2200] {
            let geometry = slot(start, size, 4096, 512);
            let mut next = 0;
            for sector in 0..geometry.sector_count() {
                let range = geometry.sector_range(sector);
                assert_eq!(range.start, next);
                assert!(range.end > range.start);
                assert_eq!(
                    (geometry.sector_of(range.start), geometry.sector_of(range.end - 1)),
                    (sector, sector)
                );
                next = range.end;
            }
            assert_eq!(next, size);
        }
    }
}

#[test]
fn wrong_slots_name_their_rule() {
    let error = |layout| Geometry::new(layout).unwrap_err();
    assert_eq!(error(SlotLayout { write_size: 0, ..PLAIN }), GeometryError::WriteSize);
    assert_eq!(error(SlotLayout { start: 4, ..PLAIN }), GeometryError::WriteSize);
    assert_eq!(error(SlotLayout { size: 4, ..PLAIN }), GeometryError::WriteSize);
    assert_eq!(error(SlotLayout { sector_size: 0, ..PLAIN }), GeometryError::SectorSize);
    assert_eq!(error(SlotLayout { sector_size: 4100, ..PLAIN }), GeometryError::SectorSize);
    assert_eq!(error(SlotLayout { size: 0, ..PLAIN }), GeometryError::Size);
    assert_eq!(error(SlotLayout { start: 0xFFFF_F000, size: 0x1000, ..PLAIN }), GeometryError::Size);
    assert_eq!(error(SlotLayout { start: 0xFFFF_E000, size: 0x1008, ..PLAIN }), GeometryError::Size);
    assert_eq!(error(SlotLayout { erased: 1, ..PLAIN }), GeometryError::Erased);
    assert!(Geometry::new(SlotLayout { start: 0xFFFF_E000, size: 0x1000, ..PLAIN }).is_ok());
}

#[test]
fn wrong_pairs_name_their_rule() {
    let plain = slot(0, 0x6_0000, 4096, 8);
    let error = |slots| ImageLayout::new(slots).unwrap_err();
    let good = |mode| pair(plain, plain, mode, 8, 96);
    assert_eq!(error(ImageSlots { max_sectors: 95, ..good(BootMode::SwapMove) }), GeometryError::MaxSectors);
    assert_eq!(
        error(ImageSlots { boot_write_size: 16, ..good(BootMode::SwapMove) }),
        GeometryError::BootWriteSize
    );
    assert_eq!(
        error(ImageSlots { boot_write_size: 3, ..good(BootMode::Overwrite) }),
        GeometryError::BootWriteSize
    );
    let status = ImageSlots { max_align: MaxAlign::M16, ..good(BootMode::SwapStatus) };
    assert_eq!(error(status), GeometryError::StatusAlign);
    let unaligned = slot(8, 0x6_0000, 4096, 8);
    assert_eq!(error(pair(unaligned, plain, BootMode::SwapMove, 8, 128)), GeometryError::Unaligned);
    let odd = slot(0, 0x1_0008, 4096, 8);
    let wide = ImageSlots { max_align: MaxAlign::M32, ..pair(odd, odd, BootMode::Overwrite, 8, 96) };
    assert_eq!(error(wide), GeometryError::MaxAlign);
    let pages = slot(0, 0x6_0000, 4096, 32);
    assert_eq!(error(pair(pages, plain, BootMode::SwapScratch, 8, 96)), GeometryError::ConfirmUnit);
    let tiny = slot(0, 0x1000, 4096, 8);
    assert_eq!(error(pair(tiny, tiny, BootMode::SwapMove, 8, 96)), GeometryError::NoRoom);
    // One spare sector: move wants it in the primary, offset in the secondary.
    let longer = slot(0, 0x6_1000, 4096, 8);
    for (mode, more, fits) in [
        (BootMode::SwapMove, true, true),
        (BootMode::SwapMove, false, false),
        (BootMode::SwapOffset, true, false),
        (BootMode::SwapOffset, false, true),
        (BootMode::SwapScratch, true, false),
        (BootMode::Overwrite, true, false),
        (BootMode::Overwrite, false, false),
        (BootMode::SwapStatus, true, false),
        (BootMode::SwapStatus, false, false),
    ] {
        let (primary, secondary) = if more { (longer, plain) } else { (plain, longer) };
        let made = |max_sectors| ImageLayout::new(pair(primary, secondary, mode, 8, max_sectors)).map(drop);
        assert_eq!(made(97), if fits { Ok(()) } else { Err(GeometryError::Pair) }, "{mode:?} {more}");
        // The bootloader has no room for the spare one in its table.
        let short = if fits { GeometryError::MaxSectors } else { GeometryError::Pair };
        assert_eq!(made(96), Err(short), "{mode:?} {more}");
    }
    // Sector sizes may be multiples of each other for scratch only.
    let coarse = slot(0, 0x6_0000, 8192, 8);
    assert!(ImageLayout::new(pair(plain, coarse, BootMode::SwapScratch, 8, 96)).is_ok());
    assert_eq!(error(pair(plain, coarse, BootMode::SwapMove, 8, 96)), GeometryError::Pair);
}

#[test]
fn sectors_to_clear_first() {
    let plain = slot(0, 0x6_0000, 4096, 8);
    let layout = |mode| ImageLayout::new(pair(plain, plain, mode, 8, 96)).unwrap();
    // A trailer of 3 * 96 * 8 + 48 bytes begins in the last sector.
    assert_eq!(layout(BootMode::SwapMove).trailer_sectors(), 95..96);
    assert_eq!(layout(BootMode::SwapOffset).trailer_sectors(), 95..96);
    assert_eq!(
        (layout(BootMode::SwapMove).lead_sectors(), layout(BootMode::SwapOffset).lead_sectors()),
        (0..0, 0..1)
    );
    assert_eq!(
        (layout(BootMode::SwapMove).image_offset(), layout(BootMode::SwapOffset).image_offset()),
        (0, 4096)
    );
    let many = ImageLayout::new(pair(plain, plain, BootMode::SwapMove, 8, 512)).unwrap();
    assert_eq!(many.trailer_sectors(), 92..96);
}

#[test]
fn every_rule_has_its_sentence() {
    use std::{collections::BTreeSet, string::ToString};
    let all = [
        GeometryError::Size,
        GeometryError::SectorSize,
        GeometryError::WriteSize,
        GeometryError::Erased,
        GeometryError::MaxAlign,
        GeometryError::BootWriteSize,
        GeometryError::Unaligned,
        GeometryError::Pair,
        GeometryError::MaxSectors,
        GeometryError::TrailerSplit,
        GeometryError::ConfirmUnit,
        GeometryError::StatusAlign,
        GeometryError::NoRoom,
        GeometryError::Driver,
        GeometryError::Capacity,
        GeometryError::Buffer,
    ];
    let texts: BTreeSet<_> = all.iter().map(ToString::to_string).collect();
    assert_eq!(texts.len(), all.len());
    assert_eq!(size_of::<GeometryError>(), 1);
}

/// Rows that the application erases eight at a time: the bootloader still takes the last row only with the flags.
#[test]
fn a_status_swap_loses_a_row_of_a_row_part_whatever_its_sector() {
    for sector_size in [512, 4096] {
        let rows = SlotLayout {
            start: 0x1_8000,
            size: 0xE_E000,
            sector_size,
            write_size: 512,
            erased: 0x00,
            reprogram: Reprogram::Allowed,
            rewrite: true,
            erase_ms: 0,
        };
        let layout = ImageLayout::checked(ImageSlots {
            primary: Geometry::checked(rows),
            secondary: Geometry::checked(SlotLayout { start: 0x10_6000, ..rows }),
            mode: BootMode::SwapStatus,
            max_align: MaxAlign::M8,
            boot_write_size: 8,
            max_sectors: 2000,
        });
        assert_eq!(layout.max_image_size(), 0xE_DE00, "{sector_size}");
    }
}
