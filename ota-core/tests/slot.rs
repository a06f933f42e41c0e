//! `Slot` over the strict flash double: the grid of write sizes, sectors, erased values and unaligned slots.

use embassy_futures::block_on;
use ota_core::geometry::{Geometry, GeometryError, Reprogram, SlotLayout};
use ota_core::slot::{Compared, FlashError, Slot};
use ota_sim::flash::{Cut, FlashConfig, Kind, Tear, VecFlash, When};

const DEVICE: u32 = 0x4000;

fn layout(config: FlashConfig, start: u32, size: u32) -> SlotLayout {
    SlotLayout {
        start,
        size,
        sector_size: config.sector_size,
        write_size: config.write_size,
        erased: config.erased,
        reprogram: Reprogram::Forbidden,
        rewrite: config.kind == Kind::RowRewrite,
        erase_ms: 0,
    }
}

fn bytes(len: u32, seed: u8) -> Vec<u8> {
    (0..len).map(|at| (at as u8).wrapping_mul(31).wrapping_add(seed) | 1).collect()
}

/// Erases an unaligned slot sector by sector, writes it block by block with an odd last block, reads it back.
fn fill<const WRITE: usize, const SECTOR: usize>(erased: u8, kind: Kind) {
    let config = FlashConfig::nor(DEVICE, SECTOR as u32, WRITE as u32).with_erased(erased).with_kind(kind);
    let (start, size) = (WRITE as u32, 0x3000);
    let flash = VecFlash::<WRITE, SECTOR>::blank(config).unwrap();
    let mut slot =
        Slot::<_, 1024>::with_unit(flash, Geometry::new(layout(config, start, size)).unwrap()).unwrap();
    let data = bytes(size - 1, erased);
    block_on(async {
        for round in 0..2 {
            for sector in 0..slot.geometry().sector_count() {
                slot.erase(sector).await.unwrap();
                let range = slot.geometry().sector_range(sector);
                let end = range.end.min(size - 1);
                let part = &data[range.start as usize..end as usize];
                let blank = if part.is_empty() { Compared::Equal } else { Compared::Blank };
                assert_eq!(slot.compare(range.start, part).await, Ok(blank));
                slot.write(range.start, part).await.unwrap();
                assert_eq!(slot.compare(range.start, part).await, Ok(Compared::Equal));
            }
            let mut held = vec![0; data.len()];
            slot.read(0, &mut held).await.unwrap();
            assert_eq!(held, data, "round {round}");
            let mut last = [0];
            slot.read(size - 1, &mut last).await.unwrap();
            assert_eq!(last, [if WRITE == 1 { last[0] } else { erased }], "padding is the erased value");
        }
    });
    let sectors = slot.geometry().sector_count();
    assert_eq!(slot.generation(), 4 * sectors);
    let flash = slot.release();
    assert_eq!(flash.strict_violations(), 0);
    assert_eq!(flash.max_erases_per_sector(0..DEVICE), 2);
}

#[test]
fn grid_of_geometries() {
    for erased in [0x00, 0xFF] {
        fill::<1, 512>(erased, Kind::Nor);
        fill::<4, 4096>(erased, Kind::Nor);
        fill::<8, 2048>(erased, Kind::NorReprogram);
        fill::<32, 4096>(erased, Kind::Nor);
        fill::<512, 4096>(erased, Kind::Nor);
        fill::<512, 512>(erased, Kind::RowRewrite);
        fill::<1024, 2048>(erased, Kind::Nor);
    }
}

fn nor() -> (Slot<VecFlash<8, 4096>>, Geometry) {
    let config = FlashConfig::nor(DEVICE, 4096, 8);
    let geometry = Geometry::new(layout(config, 0x1000, 0x2000)).unwrap();
    (Slot::new(VecFlash::blank(config).unwrap(), geometry).unwrap(), geometry)
}

#[test]
fn bounds_and_alignment() {
    let (mut slot, _) = nor();
    block_on(async {
        for at in [0x1FF9, 0x2000, u32::MAX] {
            assert_eq!(slot.read(at, &mut [0; 8]).await, Err(FlashError::OutOfBounds));
            assert_eq!(slot.write(at, &[0; 8]).await, Err(FlashError::OutOfBounds));
            assert_eq!(slot.compare(at, &[0; 8]).await, Err(FlashError::OutOfBounds));
            assert_eq!(slot.patch(at, &[0; 8]).await, Err(FlashError::OutOfBounds));
        }
        assert_eq!(slot.erase(2).await, Err(FlashError::OutOfBounds));
        assert_eq!(slot.write(4, &[0; 4]).await, Err(FlashError::NotAligned));
        assert_eq!(slot.generation(), 0);
        slot.write(0x1FF8, &[1; 8]).await.unwrap();
        slot.write(0, &[]).await.unwrap();
        slot.read(0x2000, &mut []).await.unwrap();
        assert_eq!(slot.compare(0x2000, &[]).await, Ok(Compared::Equal));
    });
    assert_eq!(slot.release().strict_violations(), 0);
}

#[test]
fn program_is_a_write_that_nobody_checks() {
    let (mut slot, _) = nor();
    block_on(async {
        assert_eq!(slot.program(4, &[0; 4]).await, Err(FlashError::NotAligned));
        assert_eq!(slot.program(0x2000, &[0; 8]).await, Err(FlashError::OutOfBounds));
        assert_eq!(slot.generation(), 0);
        slot.program(8, &[1; 11]).await.unwrap();
        assert_eq!(slot.generation(), 1);
        assert_eq!(slot.compare(8, &[1; 11]).await, Ok(Compared::Equal));
        assert_eq!(slot.compare(19, &[0xFF; 5]).await, Ok(Compared::Equal));
    });
    let flash = slot.release();
    assert_eq!((flash.strict_violations(), flash.counters().bytes_read), (0, 0x18));
}

#[test]
fn compare_tells_blank_from_different() {
    let (mut slot, _) = nor();
    block_on(async {
        slot.write(8, &[1, 2, 3, 4, 5, 6, 7, 8]).await.unwrap();
        assert_eq!(slot.compare(8, &[1, 2, 3, 4, 5, 6, 7, 8]).await, Ok(Compared::Equal));
        assert_eq!(slot.compare(10, &[3, 4]).await, Ok(Compared::Equal));
        assert_eq!(slot.compare(8, &[1, 2, 3, 4, 5, 6, 7, 9]).await, Ok(Compared::Different));
        assert_eq!(slot.compare(16, &[9; 3]).await, Ok(Compared::Blank));
        assert_eq!(slot.compare(16, &[0xFF; 3]).await, Ok(Compared::Equal));
        assert_eq!(slot.compare(15, &[9; 2]).await, Ok(Compared::Different));
        // Blank bytes in a unit that is programmed are not a place to write.
        slot.write(32, &[1]).await.unwrap();
        assert_eq!(slot.compare(33, &[9]).await, Ok(Compared::Different));
        // More than is read at once: what begins equal and goes on blank is neither, the other way round as well.
        slot.write(0x800, &[1; 512]).await.unwrap();
        for (at, data) in
            [(0x800, [[1; 512], [9; 512]]), (0x600, [[9; 512], [1; 512]]), (0x800, [[9; 512], [1; 512]])]
        {
            assert_eq!(slot.compare(at, data.as_flattened()).await, Ok(Compared::Different), "{at:#x}");
        }
        assert_eq!(slot.compare(0xA00, &[9; 1024]).await, Ok(Compared::Blank));
    });
}

#[test]
fn patch_keeps_the_rest_of_a_row() {
    let config = FlashConfig::row_rewrite(DEVICE, 512);
    let geometry = Geometry::new(layout(config, 0x1000, 0x1000)).unwrap();
    let mut slot = Slot::new(VecFlash::<512, 512>::blank(config).unwrap(), geometry).unwrap();
    let mut data = bytes(1024, 9);
    block_on(async {
        slot.write(0, &data).await.unwrap();
        slot.patch(510, &[1, 2, 3, 4]).await.unwrap();
        data[510..514].copy_from_slice(&[1, 2, 3, 4]);
        assert_eq!(slot.compare(0, &data).await, Ok(Compared::Equal));
        // Equal bytes cost no write.
        let before = slot.generation();
        slot.patch(511, &[2, 3]).await.unwrap();
        assert_eq!(slot.generation(), before);
    });
    assert_eq!(slot.release().strict_violations(), 0);
}

#[test]
fn patch_of_write_once_flash_wants_blank_units() {
    let (mut slot, _) = nor();
    block_on(async {
        slot.patch(8, &[1]).await.unwrap();
        slot.patch(8, &[1]).await.unwrap();
        assert_eq!(slot.patch(9, &[1]).await, Err(FlashError::NotErased));
        assert_eq!(slot.compare(8, &[1, 0xFF]).await, Ok(Compared::Equal));
    });
    assert_eq!(slot.release().strict_violations(), 0);
}

#[test]
fn faults_count_in_the_generation_and_are_reported() {
    for tear in [Tear::ReadsErased, Tear::Half, Tear::Garbage(7), Tear::ReadsComplete] {
        let (mut slot, geometry) = nor();
        block_on(async {
            slot.write(0, &[1; 8]).await.unwrap();
            let flash = slot.release();
            flash.arm(Cut { operation: 0, when: When::Inside(tear) });
            let mut slot = Slot::<_>::new(flash, geometry).unwrap();
            assert_eq!(slot.write(8, &[2; 64]).await, Err(FlashError::Driver));
            assert_eq!(slot.generation(), 1);
            assert_eq!(slot.erase(0).await, Err(FlashError::Driver));
            assert_eq!(slot.generation(), 2);
        });
    }
}

#[test]
fn a_write_over_old_bytes_is_found() {
    // A part that takes every write, as some drivers do, and ANDs the bytes: only the read-back can tell.
    let config = FlashConfig::row_rewrite(DEVICE, 8).with_erased(0xFF);
    let geometry = Geometry::new(SlotLayout { rewrite: false, ..layout(config, 0, 0x1000) }).unwrap();
    let mut slot = Slot::new(Anding(VecFlash::<8, 8>::blank(config).unwrap()), geometry).unwrap();
    block_on(async {
        slot.write(0, &[0x0F; 8]).await.unwrap();
        assert_eq!(slot.write(0, &[0xF0; 8]).await, Err(FlashError::ReadBack));
    });
}

#[test]
fn a_row_or_a_sector_that_does_not_change_is_found() {
    let config = FlashConfig::row_rewrite(DEVICE, 8).with_erased(0xFF);
    let geometry = Geometry::new(layout(config, 0, 0x1000)).unwrap();
    let mut slot = Slot::new(Anding(VecFlash::<8, 8>::blank(config).unwrap()), geometry).unwrap();
    block_on(async {
        slot.patch(3, &[0x0F]).await.unwrap();
        assert_eq!(slot.patch(3, &[0xF0]).await, Err(FlashError::ReadBack));
        // The double erases to 0xFF, the layout says 0x00: what an erase leaves is not what it should.
        let wrong = Geometry::new(SlotLayout { erased: 0, ..layout(config, 0, 0x1000) }).unwrap();
        let mut slot = Slot::<_>::new(slot.release(), wrong).unwrap();
        assert_eq!(slot.erase(0).await, Err(FlashError::ReadBack));
    });
}

#[test]
fn driver_device_and_buffer_must_fit() {
    let config = FlashConfig::nor(DEVICE, 4096, 8);
    let flash = || VecFlash::<8, 4096>::blank(config).unwrap();
    let with = |change: fn(&mut SlotLayout)| {
        let mut layout = layout(config, 0, 0x1000);
        change(&mut layout);
        Slot::new(flash(), Geometry::new(layout).unwrap()).err()
    };
    assert_eq!(with(|_| {}), None);
    assert_eq!(with(|layout| layout.write_size = 16), None);
    assert_eq!(with(|layout| layout.write_size = 4), Some(GeometryError::Driver));
    assert_eq!(with(|layout| layout.sector_size = 2048), Some(GeometryError::Driver));
    assert_eq!(with(|layout| layout.start = DEVICE), Some(GeometryError::Capacity));
    assert_eq!(with(|layout| layout.write_size = 1024), Some(GeometryError::Buffer));
    let geometry = Geometry::new(layout(config, 0, 0x1000)).unwrap();
    assert_eq!(Slot::<_, 255>::with_unit(flash(), geometry).err(), Some(GeometryError::Buffer));
    assert!(Slot::<_, 256>::with_unit(flash(), geometry).is_ok());
}

/// Programs as bare NOR does: bits only fall.
struct Anding(VecFlash<8, 8>);

impl embedded_storage_async::nor_flash::ErrorType for Anding {
    type Error = ota_sim::flash::FlashFault;
}

impl embedded_storage_async::nor_flash::ReadNorFlash for Anding {
    const READ_SIZE: usize = 4;

    async fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), Self::Error> {
        assert!(offset.is_multiple_of(4) && bytes.len().is_multiple_of(4), "whole read units only");
        self.0.peek(offset, bytes)
    }

    fn capacity(&self) -> usize {
        DEVICE as usize
    }
}

impl embedded_storage_async::nor_flash::NorFlash for Anding {
    const WRITE_SIZE: usize = 8;
    const ERASE_SIZE: usize = 8;

    async fn erase(&mut self, from: u32, to: u32) -> Result<(), Self::Error> {
        self.0.poke(from, &vec![0xFF; (to - from) as usize])
    }

    async fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), Self::Error> {
        let mut held = vec![0; bytes.len()];
        self.0.peek(offset, &mut held)?;
        held.iter_mut().zip(bytes).for_each(|(held, byte)| *held &= byte);
        self.0.poke(offset, &held)
    }
}

#[test]
fn reads_at_any_offset_over_wide_read_units() {
    let config = FlashConfig::row_rewrite(DEVICE, 8).with_erased(0xFF);
    let geometry = Geometry::new(SlotLayout { rewrite: false, ..layout(config, 8, 0x1000) }).unwrap();
    let mut slot = Slot::new(Anding(VecFlash::<8, 8>::blank(config).unwrap()), geometry).unwrap();
    let data = bytes(64, 3);
    block_on(async {
        slot.write(0, &data).await.unwrap();
        for at in 0..16usize {
            for len in 0..20 {
                let mut held = vec![0; len];
                slot.read(at as u32, &mut held).await.unwrap();
                assert_eq!(held, data[at..at + len], "{len} bytes at {at}");
            }
        }
    });
}

/// The numbers go into status details; old reports must keep their meaning.
#[test]
fn error_numbers_are_fixed() {
    use FlashError::{
        Driver, NoImage, NotAligned, NotErased, OutOfBounds, ReadBack, Stale, Trailer, Unfinished,
    };
    let flash = [Driver, OutOfBounds, NotAligned, ReadBack, NotErased, Trailer, Stale, NoImage, Unfinished];
    assert_eq!(flash.map(|error| error as u8), [1, 2, 3, 4, 5, 6, 7, 8, 9]);
    assert_eq!((size_of::<FlashError>(), size_of::<Result<(), FlashError>>()), (1, 1));

    use ota_core::image::ImageError as I;
    let image =
        [I::Truncated, I::Magic, I::Size, I::TooLarge, I::NonBootable, I::Encrypted, I::Compressed, I::Tlv];
    assert_eq!(image.map(|error| error as u8), [1, 2, 3, 4, 5, 6, 7, 8]);
    let image = [I::TlvCount, I::NoHash, I::SecurityCounter];
    assert_eq!(image.map(|error| error as u8), [9, 10, 11]);
}
