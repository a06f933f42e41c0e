//! The suites of `ota_sim::conformance`: what is right passes, and each way to be wrong is found and named.

use std::cell::RefCell;

use embassy_futures::block_on;
use embedded_storage_async::nor_flash::{
    ErrorType, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash,
};
use ota_core::boot::{Image, SharedFlash};
use ota_core::geometry::{BootMode, Geometry, ImageLayout, ImageSlots, MaxAlign, Reprogram, SlotLayout};
use ota_core::verify::{EcdsaP256, PublicKey, Rules};
use ota_sim::Version;
use ota_sim::conformance::{Area, NewImage, images, nor_flash, slot};
use ota_sim::flash::{Device, FlashConfig, FlashFault, Kind, VecFlash};
use ota_sim::image::{ImageBuilder, Key};
use ota_sim::mcuboot::{self, Bootloader, Config, Mode, StatusVersion};

const SECTOR: u32 = 4096;

fn area(write_size: u32, erased: u8, rewrite: bool) -> Area {
    Area { start: SECTOR, sector_count: 4, sector_size: SECTOR, write_size, erased, rewrite }
}

fn config(write_size: u32, erased: u8, kind: Kind) -> FlashConfig {
    FlashConfig { size: 6 * SECTOR, sector_size: SECTOR, write_size, erased, kind }
}

fn geometry(write_size: u32, erased: u8, kind: Kind) -> Geometry {
    Geometry::checked(SlotLayout {
        start: SECTOR,
        size: 4 * SECTOR,
        sector_size: SECTOR,
        write_size,
        erased,
        reprogram: if kind == Kind::Nor { Reprogram::Forbidden } else { Reprogram::Allowed },
        rewrite: kind == Kind::RowRewrite,
        erase_ms: 0,
    })
}

fn good<const WRITE: usize>(erased: u8, kind: Kind) {
    let write_size = WRITE as u32;
    let blank = || VecFlash::<WRITE, 4096>::blank(config(write_size, erased, kind)).unwrap();
    let mut flash = blank();
    let rewrite = kind == Kind::RowRewrite;
    assert_eq!(
        block_on(nor_flash(&mut flash, &area(write_size, erased, rewrite))),
        Ok(()),
        "{WRITE} {kind:?}"
    );
    assert_eq!(block_on(slot(blank(), geometry(write_size, erased, kind))), Ok(()), "{WRITE} {kind:?}");
}

#[test]
fn every_kind_of_part_conforms() {
    for erased in [0x00, 0xFF] {
        for kind in [Kind::Nor, Kind::NorReprogram, Kind::RowRewrite] {
            good::<1>(erased, kind);
            good::<8>(erased, kind);
            good::<32>(erased, kind);
            good::<512>(erased, kind);
        }
    }
}

/// A way to be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wrong {
    ErasedValue,
    EraseKeepsLastByte,
    EraseTakesNextSector,
    EraseTakesOneSectorOnly,
    WriteStopsAfterOneUnit,
    WriteSpills,
    ReadShifts,
    TakesUnaligned,
    NamesUnalignedOther,
    TakesOutside,
    TakesBackwards,
    DiesWhenDropped,
}

struct Flash<const WRITE: usize> {
    bytes: Vec<u8>,
    wrong: Option<Wrong>,
    busy: bool,
}

#[derive(Debug)]
struct Fault(NorFlashErrorKind);

impl NorFlashError for Fault {
    fn kind(&self) -> NorFlashErrorKind {
        self.0
    }
}

impl<const WRITE: usize> Flash<WRITE> {
    fn is(&self, wrong: Wrong) -> bool {
        self.wrong == Some(wrong)
    }

    fn check(&self, offset: u32, len: usize, unit: usize) -> Result<std::ops::Range<usize>, Fault> {
        let (from, to) = (offset as usize, offset as usize + len);
        let aligned = from.is_multiple_of(unit) && len.is_multiple_of(unit);
        if !aligned && !self.is(Wrong::TakesUnaligned) {
            let other = self.is(Wrong::NamesUnalignedOther);
            return Err(Fault(if other { NorFlashErrorKind::Other } else { NorFlashErrorKind::NotAligned }));
        }
        if to > self.bytes.len() {
            return match self.is(Wrong::TakesOutside) {
                true => Ok(0..0),
                false => Err(Fault(NorFlashErrorKind::OutOfBounds)),
            };
        }
        Ok(from..to)
    }

    async fn begin(&mut self) -> Result<(), Fault> {
        if self.busy && self.is(Wrong::DiesWhenDropped) {
            return Err(Fault(NorFlashErrorKind::Other));
        }
        self.busy = true;
        embassy_futures::yield_now().await;
        self.busy = false;
        Ok(())
    }
}

impl<const WRITE: usize> ErrorType for Flash<WRITE> {
    type Error = Fault;
}

impl<const WRITE: usize> ReadNorFlash for Flash<WRITE> {
    const READ_SIZE: usize = 1;

    async fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), Fault> {
        let range = self.check(offset, bytes.len(), 1)?;
        if range.len() == bytes.len() {
            bytes.copy_from_slice(&self.bytes[range]);
        }
        if self.is(Wrong::ReadShifts) && bytes.len() == 7 {
            bytes.rotate_left(1);
        }
        Ok(())
    }

    fn capacity(&self) -> usize {
        self.bytes.len()
    }
}

impl<const WRITE: usize> NorFlash for Flash<WRITE> {
    const WRITE_SIZE: usize = WRITE;
    const ERASE_SIZE: usize = SECTOR as usize;

    async fn erase(&mut self, from: u32, to: u32) -> Result<(), Fault> {
        if from > to {
            return if self.is(Wrong::TakesBackwards) {
                Ok(())
            } else {
                Err(Fault(NorFlashErrorKind::OutOfBounds))
            };
        }
        let mut range = self.check(from, (to - from) as usize, SECTOR as usize)?;
        self.begin().await?;
        if self.is(Wrong::EraseTakesOneSectorOnly) {
            range.end = range.start + SECTOR as usize;
        }
        if self.is(Wrong::EraseTakesNextSector) {
            range.end = (range.end + 1).min(self.bytes.len());
        }
        let erased = if self.is(Wrong::ErasedValue) { 0x00 } else { 0xFF };
        if self.is(Wrong::EraseKeepsLastByte) {
            range.end -= 1;
        }
        self.bytes[range].fill(erased);
        Ok(())
    }

    async fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), Fault> {
        let range = self.check(offset, bytes.len(), WRITE)?;
        if range.is_empty() {
            return Ok(());
        }
        self.begin().await?;
        let take = if self.is(Wrong::WriteStopsAfterOneUnit) { WRITE } else { bytes.len() };
        self.bytes[range.clone()][..take].copy_from_slice(&bytes[..take]);
        if self.is(Wrong::WriteSpills) && range.end < self.bytes.len() {
            self.bytes[range.end] ^= 1;
        }
        Ok(())
    }
}

#[test]
fn each_wrong_driver_is_named() {
    let rule = |wrong| {
        let mut flash = Flash::<16> { bytes: vec![0xEE; 6 * SECTOR as usize], wrong, busy: false };
        block_on(nor_flash(&mut flash, &area(16, 0xFF, true))).map_err(|broken| broken.rule)
    };
    assert_eq!(rule(None), Ok(()));
    for (wrong, expected) in [
        (Wrong::ErasedValue, "an erased byte reads as the erased value"),
        (Wrong::EraseKeepsLastByte, "an erased byte reads as the erased value"),
        (Wrong::EraseTakesOneSectorOnly, "an erased byte reads as the erased value"),
        (Wrong::EraseTakesNextSector, "an erase leaves its neighbours alone"),
        (Wrong::WriteStopsAfterOneUnit, "an erase leaves its neighbours alone"),
        (Wrong::WriteSpills, "a write leaves its neighbours alone"),
        (Wrong::ReadShifts, "a read across units returns both"),
        (Wrong::TakesUnaligned, "what is not aligned is refused as NotAligned, and nothing is done"),
        (Wrong::NamesUnalignedOther, "what is not aligned is refused as NotAligned, and nothing is done"),
        (Wrong::TakesOutside, "what lies outside of the capacity is refused, and nothing is done"),
        (Wrong::TakesBackwards, "an erase that ends before it begins is refused"),
        (Wrong::DiesWhenDropped, "after a dropped future the next operation works"),
    ] {
        assert_eq!(rule(Some(wrong)), Err(expected), "{wrong:?}");
    }
}

#[test]
fn a_row_that_cannot_be_rewritten_is_named() {
    // The part is write-once, the area says otherwise.
    let mut flash = VecFlash::<16, 4096>::blank(config(16, 0xFF, Kind::Nor)).unwrap();
    let broken = block_on(nor_flash(&mut flash, &area(16, 0xFF, true))).unwrap_err();
    assert_eq!(broken.rule, "erased units can be written");
    let flash = VecFlash::<16, 4096>::blank(config(16, 0xFF, Kind::Nor)).unwrap();
    let broken = block_on(slot(flash, geometry(16, 0xFF, Kind::RowRewrite))).unwrap_err();
    assert_eq!(broken.rule, "single bytes of the trailer can be changed");
}

const SLOT: u32 = 16 * SECTOR;

/// `ota-core`'s own boot control over the strict double, with the bootloader model as the reset.
fn boot(mode: BootMode, model: Mode) -> Result<(), &'static str> {
    let config = FlashConfig {
        size: 2 * SLOT + 4 * SECTOR,
        sector_size: SECTOR,
        write_size: 8,
        erased: 0xFF,
        kind: Kind::NorReprogram,
    };
    let flash = RefCell::new(VecFlash::<8, 4096>::blank(config).unwrap());
    let status = RefCell::new(VecFlash::<512, 512>::blank(FlashConfig::row_rewrite(0x4000, 512)).unwrap());
    let version = |major| Version { major, minor: 0, revision: 0, build: 0 };
    let key = Key::from_seed(7);
    let old = ImageBuilder::with_random_payload(version(1), 20_000, 1).signed(&key);
    let new = ImageBuilder::with_random_payload(version(2), 30_000, 2).signed(&key);
    flash.borrow_mut().poke(0, &old).unwrap();

    let part = SlotLayout {
        start: 0,
        size: SLOT,
        sector_size: SECTOR,
        write_size: 8,
        erased: 0xFF,
        reprogram: Reprogram::Allowed,
        rewrite: false,
        erase_ms: 0,
    };
    let layout = ImageLayout::checked(ImageSlots {
        primary: Geometry::checked(part),
        secondary: Geometry::checked(SlotLayout { start: SLOT, ..part }),
        mode,
        max_align: MaxAlign::M8,
        boot_write_size: 8,
        max_sectors: 128,
    });
    let shared = SharedFlash::new(&flash);
    let mut image = Image::new(shared, shared, layout).unwrap();
    let keys = [PublicKey::spki(key.public_spki()).unwrap()];
    let rules = Rules { job: EcdsaP256::new(&keys).unwrap(), image_keys: &[], reset_vector: None };
    let signature = key.sign_job(&new);

    let area = |start, size| mcuboot::Area { device: 0, start, size };
    let slots = [mcuboot::ImageSlots { primary: area(0, SLOT), secondary: area(SLOT, SLOT) }];
    let reset = async || {
        let (mut flash, mut status) = (flash.borrow_mut(), status.borrow_mut());
        let mut config = Config::new(model, &slots);
        config.scratch = Some(area(2 * SLOT, 4 * SECTOR));
        config.status = Some(mcuboot::Area { device: 1, start: 0, size: 0x4000 });
        config.max_align = 8;
        config.write_size = 8;
        config.max_sectors = 128;
        let bootloader = Bootloader::new(config, &[flash.config(), status.config()]).unwrap();
        let boot: Result<_, FlashFault> = bootloader.boot(&mut [&mut *flash, &mut *status], &mut []);
        assert!(boot.unwrap().starts());
    };
    let new = NewImage { number: 0, file: &new, signature: &signature };
    block_on(images(&mut image, &new, &rules, reset)).map_err(|broken| broken.rule)
}

#[test]
fn boot_control_conforms_in_every_mode() {
    for (mode, model) in [
        (BootMode::Overwrite, Mode::Overwrite),
        (BootMode::SwapScratch, Mode::SwapScratch),
        (BootMode::SwapMove, Mode::SwapMove),
        (BootMode::SwapOffset, Mode::SwapOffset),
        (BootMode::SwapStatus, Mode::SwapStatus(StatusVersion::V1_8)),
    ] {
        assert_eq!(boot(mode, model), Ok(()), "{mode:?}");
    }
}

#[test]
fn boot_control_for_another_bootloader_is_named() {
    // It says swap, the bootloader overwrites: there is no way back.
    let broken = boot(BootMode::SwapScratch, Mode::Overwrite).unwrap_err();
    assert_eq!(broken, "an image that is not confirmed may be taken back");
}
