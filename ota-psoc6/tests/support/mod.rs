//! A device's lives on the modelled chip: download, verify, ask, boot, confirm, with the power cut at any step. Used by the
//! tests of both families.
//!
//! What runs is the drivers and `ota-core`'s flash side; MCUboot is `ota-sim`'s model of it, which works on the chip's flash
//! directly.
#![allow(unreachable_pub, dead_code, reason = "shared by the tests of two crates")]

use std::cell::RefCell;

use embassy_futures::block_on;
use ota_core::boot::{Images, Pending};
use ota_core::image::Header;
use ota_core::slot::FlashError;
use ota_core::verify::{Digest, EcdsaP256, PublicKey, Rules, VerifyError, verify};
use ota_psoc6::flash::{ExternalFlash, InternalFlash, Windows};
use ota_psoc6::layout::{Area, Device as Part, FlashMap};
use ota_psoc6::model::{Chip, Clock, Family, Model, When};
use ota_psoc6::smif::Smif;
use ota_psoc6::syscall::{FlashCache, SystemCalls};
use ota_psoc6::watchdog::Feed;
use ota_sim::flash::{Actor, Device, FlashConfig, FlashFault};
use ota_sim::image::{ImageBuilder, Key, Version};
use ota_sim::mcuboot::{Area as BootArea, Bootloader, Config, ImageSlots, Mode, StatusVersion, Validation};

pub const BLOCK: u32 = 4096;
const OLD: Version = Version::new(0, 9, 0, 0);
const NEW: Version = Version::new(1, 0, 0, 0);

/// What differs between the families.
pub trait Board {
    type Dog<'m>: Feed;
    type Cache<'m>: FlashCache;
    const FAMILY: Family;
    fn dog(model: &Model) -> Self::Dog<'_>;
    fn cache(model: &Model) -> Self::Cache<'_>;
}

pub type Inside<'m, B> = InternalFlash<Chip<'m>, <B as Board>::Dog<'m>, <B as Board>::Cache<'m>>;
pub type Outside<'m, B> = ExternalFlash<Chip<'m>, Clock<'m>, <B as Board>::Dog<'m>>;

/// The main flash of a board.
pub fn inside<'m, B: Board>(model: &'m Model, map: &FlashMap) -> Inside<'m, B> {
    let chip = model.chip();
    let calls = SystemCalls::new(chip, B::cache(model), model.ram(), 1_000_000);
    InternalFlash::new(chip, calls, Windows::new(map, Part::Internal), B::dog(model))
}

/// The serial flash of a board.
pub fn outside<'m, B: Board>(model: &'m Model, map: &FlashMap) -> Option<Outside<'m, B>> {
    let smif = Smif::new(model.chip()).ok()?;
    ExternalFlash::new(smif, model.clock(), Windows::new(map, Part::External), B::dog(model)).ok()
}

/// A device that comes with version 0.9.0 of every image, and the update to 1.0.0.
pub struct Rig {
    pub model: Model,
    pub map: FlashMap,
    pub old: Vec<Vec<u8>>,
    pub new: Vec<Vec<u8>>,
    key: Key,
    /// The bootloader confirms images the application cannot.
    pub set_img_ok: bool,
    /// Sectors that hold the update already are not fetched again, but for the trailer's: a resumed download.
    pub resumes: bool,
}

/// How the lives of a device ended.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Ending {
    /// Boots.
    pub lives: u32,
    /// Steps of the drivers.
    pub steps: u32,
    /// Boots in which some images were new and some old.
    pub mixed: u32,
    /// Bit n: in such a boot image n was the new one.
    pub mixed_new: u32,
    /// Bit n: image n was still new at one boot more.
    pub kept: u32,
}

impl Rig {
    pub fn new<B: Board>(map: FlashMap, payload: usize) -> Self {
        Self::with_needs::<B>(map, payload, true)
    }

    /// The new images need each other, or do not.
    pub fn with_needs<B: Board>(map: FlashMap, payload: usize, needs: bool) -> Self {
        let model = Model::new(B::FAMILY);
        model.mailbox(|mailbox| mailbox.looks = 2);
        let key = Key::from_seed(7);
        let count = map.image_count();
        let build = |version, seed: u64| -> Vec<Vec<u8>> {
            (0..count)
                .map(|index| {
                    let builder = ImageBuilder::with_random_payload(version, payload, seed + index as u64)
                        .header_size(0x400);
                    let others = (0..count).filter(|other| needs && *other != index && version == NEW);
                    others.fold(builder, |builder, other| builder.dependency(other as u8, NEW)).signed(&key)
                })
                .collect()
        };
        let (old, new) = (build(OLD, 1), build(NEW, 11));
        for (index, image) in old.iter().enumerate() {
            model.poke(map.primary(index).address(), image);
        }
        Self { model, map, old, new, key, set_img_ok: true, resumes: false }
    }

    /// Which version runs: new, or old. Anything else is a brick.
    pub fn runs_new(&self, index: usize) -> bool {
        let held = |image: &[u8]| {
            let mut bytes = vec![0; image.len()];
            self.model.peek(self.map.primary(index).address(), &mut bytes);
            bytes == image
        };
        match (held(&self.new[index]), held(&self.old[index])) {
            (true, false) => true,
            (false, true) => false,
            _ => panic!("image {index} is neither the old nor the new one"),
        }
    }

    /// MCUboot's turn.
    pub fn boot(&self) {
        let spec = self.map.spec();
        let mode = match spec.mode {
            ota_core::geometry::BootMode::Overwrite => Mode::Overwrite,
            _ => Mode::SwapStatus(StatusVersion::V1_8),
        };
        let area = |area: Area| BootArea {
            device: usize::from(area.device() == Some(Part::External)),
            start: area.offset(),
            size: area.size(),
        };
        let slots: Vec<ImageSlots> = spec
            .images
            .iter()
            .map(|pair| ImageSlots { primary: area(pair.primary), secondary: area(pair.secondary) })
            .collect();
        let mut config = Config::new(mode, &slots);
        config.scratch = spec.scratch.map(area);
        config.status = spec.status.map(area);
        config.max_sectors = spec.max_sectors;
        config.validation = Validation::HashOnly;
        let confirmed = |index: &usize| self.set_img_ok && !spec.images[*index].confirmable;
        let confirmed: Vec<usize> = (0..spec.images.len()).filter(confirmed).collect();
        config.set_img_ok = &confirmed;
        let mut parts = [Cells(&self.model, Part::Internal), Cells(&self.model, Part::External)];
        let configs = [parts[0].config(), parts[1].config()];
        let bootloader = Bootloader::new(config, &configs).expect("a layout the bootloader takes");
        let [inside, outside] = &mut parts;
        let mut counters = [0; 4];
        let boot =
            bootloader.boot(&mut [inside, outside], &mut counters[..slots.len()]).expect("no cut here");
        assert!(boot.starts(), "a brick: {boot:?}");
    }

    /// Lives until the new images run and are confirmed. A cut that was armed happens in the first ones.
    pub fn live<B: Board>(&self) -> Ending {
        let mut ending = Ending::default();
        let all = (1 << self.map.image_count()) - 1;
        loop {
            ending.lives += 1;
            assert!(ending.lives < 8, "no end: {ending:?}");
            self.boot();
            let new = self.which_are_new();
            if new != 0 && new != all {
                ending.mixed += 1;
                ending.mixed_new |= new;
            }
            let done = self.life::<B>();
            ending.steps = self.model.steps();
            if !self.model.is_powered() {
                self.model.power_cycle();
                continue;
            }
            done.expect("works with power on");
            if new == all {
                break;
            }
            // The reset the agent asks for.
            self.model.restart();
        }
        self.model.power_cycle();
        self.boot();
        ending.kept = self.which_are_new();
        assert!(ending.kept == all || !self.set_img_ok, "it was confirmed, and it is gone");
        ending
    }

    /// Bit n: image n is the new one.
    fn which_are_new(&self) -> u32 {
        (0..self.map.image_count()).map(|index| u32::from(self.runs_new(index)) << index).sum()
    }

    /// One life of the application, which must come to its end.
    pub fn one_life<B: Board>(&self) {
        self.life::<B>().expect("works with power on");
    }

    /// One life of the application.
    fn life<B: Board>(&self) -> Result<(), VerifyError> {
        let inside = RefCell::new(inside::<B>(&self.model, &self.map));
        match (self.map.secondary(0).device(), self.map.image_count()) {
            (Some(Part::External), count) => {
                let Some(outside) = outside::<B>(&self.model, &self.map) else {
                    assert!(!self.model.is_powered(), "no serial flash");
                    return Ok(());
                };
                let outside = RefCell::new(outside);
                let application = ota_psoc6::boot::image(&self.map, 0, &inside, &outside).expect("fits");
                if count == 1 {
                    let mut application = application;
                    return block_on(self.update(&mut application));
                }
                let secure = ota_psoc6::boot::image(&self.map, 1, &inside, &inside).expect("fits");
                block_on(self.update(&mut (application, secure)))
            }
            (_, 1) => {
                let mut application = ota_psoc6::boot::image(&self.map, 0, &inside, &inside).expect("fits");
                block_on(self.update(&mut application))
            }
            (other, count) => panic!("no board has {count} images with {other:?}"),
        }
    }

    async fn update(&self, images: &mut impl Images) -> Result<(), VerifyError> {
        let count = self.map.image_count() as u8;
        let mut new = 0;
        for image in 0..count {
            let running = images.inspect(image).await?.running;
            new += u8::from(running.is_some_and(|info| info.version.major == NEW.major));
        }
        if new == count {
            for image in 0..count {
                images.confirm(image).await?;
            }
            return Ok(());
        }
        let key = self.key.public_spki();
        let keys = [PublicKey::spki(key).expect("a key")];
        let rules =
            Rules { job: EcdsaP256::new(&keys).expect("a key"), image_keys: &keys, reset_vector: None };
        let mut tokens = Vec::new();
        for image in (0..count).rev() {
            let file = &self.new[usize::from(image)];
            self.download(images, image, file).await?;
            let mut digest = Digest::new();
            digest.set_image_end(Header::parse(file).expect("a header").hashed_size().expect("a size"));
            let mut at = 0;
            while at < file.len() {
                let mut part = [0; 512];
                let part = &mut part[..(file.len() - at).min(512)];
                images.read(image, at as u32, part).await?;
                digest.update(part);
                at += part.len();
            }
            let signature = self.key.sign_job(file);
            tokens.push(verify(images, image, file.len() as u32, digest, &signature, &rules).await?);
        }
        for token in tokens {
            images.set_pending(token, Pending::Test).await?;
        }
        Ok(())
    }

    /// Clears what the layout says and writes the file block by block, erasing each sector at its first touch.
    async fn download(&self, images: &mut impl Images, image: u8, file: &[u8]) -> Result<(), FlashError> {
        let layout = *images.layout(image).expect("an image");
        let slot = *layout.secondary();
        let mut erased = vec![slot.rewrite(); slot.sector_count() as usize];
        for sector in layout.trailer_sectors() {
            images.erase(image, sector).await?;
            erased[sector as usize] = true;
        }
        let start = self.map.secondary(usize::from(image)).address();
        let mut at = 0;
        while at < file.len() as u32 {
            let sector = slot.sector_of(at);
            let sector_end = if slot.rewrite() { u32::MAX } else { slot.sector_range(sector).end };
            let end = sector_end.min(at - at % BLOCK + BLOCK).min(file.len() as u32);
            let part = &file[at as usize..end as usize];
            let mut held = vec![0; part.len()];
            self.model.peek(start + at, &mut held);
            if !self.resumes || held != part {
                if !std::mem::replace(&mut erased[sector as usize], true) {
                    images.erase(image, sector).await?;
                }
                images.write(image, at, part).await?;
            }
            at = end;
        }
        Ok(())
    }
}

/// Cuts the power around every step of an update, each with its own device; how many cuts there were, and in how many some images
/// were new and some old.
pub fn sweep<B: Board>(map: FlashMap, payload: usize, whens: &[When]) -> (u32, u32) {
    let whole = Rig::new::<B>(map, payload);
    let ending = whole.live::<B>();
    let name = map.spec().name;
    assert_eq!((ending.lives, ending.mixed, whole.model.violations()), (2, 0, vec![]), "{name}");
    let (mut cuts, mut mixed) = (0, 0);
    for step in 0..ending.steps {
        for &when in whens {
            let rig = Rig::new::<B>(map, payload);
            rig.model.cut(step, when);
            let ending = rig.live::<B>();
            assert_eq!(rig.model.violations(), [], "{name} step {step} {when:?}");
            cuts += 1;
            mixed += u32::from(ending.mixed > 0);
        }
    }
    println!("{name}: {cuts} cuts at {} steps, {mixed} leave a mixture", ending.steps);
    (cuts, mixed)
}

/// Flash as the bootloader reaches it.
struct Cells<'m>(&'m Model, Part);

impl Device for Cells<'_> {
    fn config(&self) -> FlashConfig {
        match self.1 {
            Part::Internal | Part::Work => FlashConfig::row_rewrite(self.1.size(), 512),
            Part::External => FlashConfig::nor(self.1.size(), 0x4_0000, 512),
        }
    }

    fn set_actor(&mut self, _: Actor) {}

    fn read(&mut self, at: u32, bytes: &mut [u8]) -> Result<(), FlashFault> {
        self.0.peek(self.1.base() + at, bytes);
        Ok(())
    }

    fn write(&mut self, at: u32, bytes: &[u8]) -> Result<(), FlashFault> {
        self.0.poke(self.1.base() + at, bytes);
        Ok(())
    }

    fn erase(&mut self, from: u32, to: u32) -> Result<(), FlashFault> {
        self.0.erase(self.1.base() + from, to - from);
        Ok(())
    }
}
