//! The simulated board: its flashes, a bootloader, and a power supply that can fail.

use std::cell::{Cell, RefCell};
use std::fs;
use std::future::pending;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use anyhow::{Context, bail, ensure};
use embedded_storage_async::nor_flash::{ErrorType, NorFlash, ReadNorFlash};
use ota_core::boot::{Image, SharedFlash};
use ota_core::journal::{FlashJournal, Journal, Record};
use ota_core::slot::FlashError;
use ota_sim::flash::file::FileMemory;
use ota_sim::flash::{
    Actor, Counters, Cut, Device, FlashConfig, FlashDouble, FlashFault, Memory, Supply, Tear, VecLedger, When,
};
use ota_sim::mcuboot::{Bootloader, Config, ImageBoot, PublicKey, Validation};
use tokio::sync::Notify;

use crate::options::Options;
use crate::plan::{PartTiming, Plan};
use crate::update::Update;

/// Zones whose counters are kept apart.
mod zone {
    pub(super) const SECONDARY: usize = 0;
    pub(super) const JOURNAL: usize = 1;
    pub(super) const PRIMARY: usize = 2;
}

type Double = FlashDouble<Bytes, 1, 1, VecLedger, Rc<Supply>>;

/// The board.
pub(crate) struct Board {
    /// What lies where; a firmware knows this of its own.
    pub(crate) plan: Plan,
    flashes: Vec<RefCell<BoardFlash>>,
    has_journal: bool,
    supply: Rc<Supply>,
    outage: Rc<Outage>,
    keys: Vec<PublicKey>,
    before_pending: Cell<Option<Download>>,
}

/// One of the board's images, as the firmware holds it.
pub(crate) type BoardImage<'b> = Image<SharedFlash<'b, BoardFlash>, SharedFlash<'b, BoardFlash>>;

/// What was done to the secondary slot for the download.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Download {
    pub(crate) counters: Counters,
    pub(crate) max_erases_per_sector: u32,
}

impl Board {
    /// Builds the board of a plan, with the factory images in its primary slots, or finds it as it was left.
    pub(crate) fn new(options: &Options, plan: Plan, update: &Update) -> anyhow::Result<Self> {
        for (image, factory) in plan.images.iter().zip(&update.factory) {
            let room = image.layout.max_image_size() as usize;
            ensure!(factory.len() <= room, "--slot-size: no room for version 0.9.0");
        }
        let supply = Rc::new(Supply::new());
        let outage = Rc::new(Outage::default());
        let mut flashes = Vec::new();
        for (number, part) in plan.parts.iter().enumerate() {
            let file = options.flash.as_deref().filter(|_| part.is_kept);
            let file =
                file.map(|path| if part.name.is_empty() { path.into() } else { beside(path, part.name) });
            let content =
                plan.images.iter().zip(&update.factory).filter(|(image, _)| image.primary == number);
            let content: Vec<_> =
                content.map(|(image, factory)| (image.layout.primary().start(), &factory[..])).collect();
            let bytes = Bytes::open(file.as_deref(), &part.config, &content)?;
            let mut double = with_ledger(bytes, Rc::clone(&supply), part.config)?;
            if let Some(image) = plan.images.first() {
                let span = |geometry: &ota_core::geometry::Geometry| {
                    geometry.start()..geometry.start() + geometry.size()
                };
                if image.secondary == number {
                    double.watch(zone::SECONDARY, span(image.layout.secondary()));
                }
                if image.primary == number {
                    double.watch(zone::PRIMARY, span(image.layout.primary()));
                }
            }
            if let Some((_, region)) = plan.journal.as_ref().filter(|(part, _)| *part == number) {
                let layout = region.layout();
                double.watch(
                    zone::JOURNAL,
                    layout.start..layout.start + layout.sector_count * layout.sector_size,
                );
            }
            let busy = Busy { timing: part.timing, sum_us: Cell::new(0), longest_us: Cell::new(0) };
            flashes.push(RefCell::new(BoardFlash { double, outage: Rc::clone(&outage), busy }));
        }
        if let Some(operation) = options.cut {
            supply.arm_for(Actor::Application, Cut { operation, when: When::Inside(Tear::Half) });
        }
        let keys = update
            .image_keys
            .iter()
            .map(|der| PublicKey::from_spki(der).context("--image-key: not a P-256 key"));
        Ok(Self {
            flashes,
            has_journal: !options.no_journal,
            supply,
            outage,
            keys: keys.collect::<anyhow::Result<_>>()?,
            before_pending: Cell::new(None),
            plan,
        })
    }

    /// Power on: MCUboot finishes or begins what the trailers ask for and starts the images in the primary slots.
    pub(crate) fn boot(&self) -> anyhow::Result<Vec<ImageBoot>> {
        self.supply.power_on();
        let slots = self.plan.slots();
        let layout = &self.plan.images[0].layout;
        let mut config = Config::new(self.plan.mode, &slots);
        config.scratch = self.plan.scratch;
        config.status = self.plan.status;
        config.max_align = layout.max_align().bytes();
        config.write_size = layout.boot_write_size();
        config.max_sectors = layout.max_sectors();
        let images = self.plan.images.iter().enumerate();
        let kept: Vec<_> = images.filter(|(_, image)| image.bootloader_confirms).map(|(at, _)| at).collect();
        config.set_img_ok = &kept;
        if !self.keys.is_empty() {
            config.validation = Validation::Keys(&self.keys);
        }
        let mut flashes: Vec<_> = self.flashes.iter().map(|flash| flash.borrow_mut()).collect();
        let configs: Vec<_> = flashes.iter().map(|flash| flash.double.config()).collect();
        let bootloader = Bootloader::new(config, &configs)?;
        let mut devices: Vec<&mut dyn Device> =
            flashes.iter_mut().map(|flash| &mut flash.double as &mut dyn Device).collect();
        let boot = bootloader.boot(&mut devices, &mut [])?;
        drop(flashes);
        let images: Vec<_> = (0..slots.len()).filter_map(|index| boot.image(index).copied()).collect();
        if let Some((number, image)) = images.iter().enumerate().find(|(_, image)| image.running.is_none()) {
            let why = image.refused.map_or_else(|| "there is none".to_owned(), |why| why.to_string());
            bail!(
                "the device does not boot image {number}: {why}. A file of --flash goes with the --seed, --image-key and board it \
                 was made with: give those, or remove the file to start over"
            );
        }
        ensure!(images.len() == slots.len(), "the device does not boot: {boot:?}");
        Ok(images)
    }

    /// The firmware's images.
    pub(crate) fn images(&self) -> anyhow::Result<Vec<BoardImage<'_>>> {
        let image = |(number, image): (usize, &crate::plan::ImagePlan)| {
            let primary = SharedFlash::new(&self.flashes[image.primary]);
            let secondary = SharedFlash::new(&self.flashes[image.secondary]);
            Ok(Image::new(primary, secondary, image.layout)?.with_number(number as u8))
        };
        self.plan.images.iter().enumerate().map(image).collect()
    }

    /// Waits until the power fails; says in which operation.
    pub(crate) async fn power_lost(&self) -> String {
        // Not through the flash: whoever lost the power in an operation still holds it.
        self.outage.failed.notified().await;
        self.outage.operation.take()
    }

    /// The firmware's journal, if it is to have one and the board has a place for it.
    pub(crate) fn journal(&self) -> anyhow::Result<MaybeJournal<SharedFlash<'_, BoardFlash>>> {
        let place = self.plan.journal.as_ref().filter(|_| self.has_journal);
        let journal =
            place.map(|(part, region)| FlashJournal::new(SharedFlash::new(&self.flashes[*part]), *region));
        Ok(MaybeJournal(journal.transpose()?))
    }

    /// The download ends here: what is done to the secondary slot from now on belongs to the request for the swap.
    pub(crate) fn download_ends(&self) {
        self.before_pending.set(Some(self.secondary()));
    }

    /// What was done to the secondary slot, up to the request for the swap.
    pub(crate) fn download(&self) -> Download {
        self.before_pending.get().unwrap_or_else(|| self.secondary())
    }

    fn secondary(&self) -> Download {
        let image = &self.plan.images[0];
        let flash = self.flashes[image.secondary].borrow();
        let counters = flash.double.watched(zone::SECONDARY);
        // The ledger counts the bootloader's erases too; where there was no download these are the only ones.
        let worst = flash.double.max_erases_per_sector(image.layout.secondary().covered());
        Download { counters, max_erases_per_sector: worst.min(counters.erases) }
    }

    /// What the firmware did to the journal, and to the primary slot (the confirm).
    pub(crate) fn journal_and_confirm(&self) -> (Counters, Counters) {
        let watched = |part: usize, zone| self.flashes[part].borrow().double.watched(zone);
        let journal = self.plan.journal.as_ref().map(|(part, _)| watched(*part, zone::JOURNAL));
        (journal.unwrap_or_default(), watched(self.plan.images[0].primary, zone::PRIMARY))
    }

    /// What the bootloader did to the flashes.
    pub(crate) fn bootloader(&self) -> Counters {
        let mut sum = Counters::default();
        for flash in &self.flashes {
            let counters = flash.borrow().double.counters_of(Actor::Bootloader);
            sum.erases += counters.erases;
            sum.bytes_written += counters.bytes_written;
        }
        sum
    }

    /// Writes and sector erases of the firmware: what `--cut` counts.
    pub(crate) fn operations(&self) -> u32 {
        self.flashes.iter().map(|flash| flash.borrow().double.counters().operations).sum()
    }

    /// Flash operations no chip would have taken; a fault of the library.
    pub(crate) fn violations(&self) -> u32 {
        self.flashes.iter().map(|flash| flash.borrow().double.strict_violations()).sum()
    }

    /// Virtual milliseconds in which the firmware's operations kept a flash busy, and the longest of them.
    pub(crate) fn busy_ms(&self) -> (u64, u64) {
        let busy = |flash: &RefCell<BoardFlash>| {
            let flash = flash.borrow();
            (flash.busy.sum_us.get() / 1000, flash.busy.longest_us.get() / 1000)
        };
        self.flashes.iter().map(busy).fold((0, 0), |(sum, longest), (a, b)| (sum + a, longest.max(b)))
    }
}

/// `name.extension` with another extension behind it.
pub(crate) fn beside(path: &Path, what: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(what);
    name.into()
}

fn with_ledger(bytes: Bytes, supply: Rc<Supply>, config: FlashConfig) -> anyhow::Result<Double> {
    Ok(FlashDouble::with_parts(bytes, VecLedger::new(&config), supply, config)?)
}

/// The flash driver of the firmware. When the power fails, whoever called it never hears of it.
pub(crate) struct BoardFlash {
    double: Double,
    outage: Rc<Outage>,
    busy: Busy,
}

/// How long a flash was busy, in virtual time.
struct Busy {
    timing: PartTiming,
    sum_us: Cell<u64>,
    longest_us: Cell<u64>,
}

impl Busy {
    fn spend(&self, us: u64) {
        self.sum_us.set(self.sum_us.get() + us);
        self.longest_us.set(self.longest_us.get().max(us));
    }

    fn erase(&self, sectors: u32) {
        // Where eight units are written together they are erased together too.
        let at_once = if self.timing.eight_us.is_some() { 8 } else { 1 };
        (0..sectors.div_ceil(at_once)).for_each(|_| self.spend(self.timing.erase_us));
    }

    fn write(&self, offset: u32, len: usize, unit: u32) {
        let PartTiming { write_us, eight_us, .. } = self.timing;
        let (mut at, end) = (offset, offset + len as u32);
        while at < end {
            let eight = 8 * unit;
            match eight_us.filter(|_| at.is_multiple_of(eight) && end - at >= eight) {
                Some(us) => {
                    self.spend(us);
                    at += eight;
                }
                None => {
                    self.spend(write_us);
                    at += unit;
                }
            }
        }
    }
}

/// That the power failed, and in which operation.
#[derive(Default)]
struct Outage {
    failed: Notify,
    operation: RefCell<String>,
}

impl BoardFlash {
    async fn survive<T>(
        &self,
        result: Result<T, FlashFault>,
        operation: impl FnOnce() -> String,
    ) -> Result<T, FlashFault> {
        if matches!(result, Err(FlashFault::PowerLost)) {
            self.outage.operation.replace(operation());
            self.outage.failed.notify_one();
            pending::<()>().await;
        }
        result
    }
}

impl ErrorType for BoardFlash {
    type Error = FlashFault;
}

impl ReadNorFlash for BoardFlash {
    const READ_SIZE: usize = 1;

    async fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), FlashFault> {
        let result = Device::read(&mut self.double, offset, bytes);
        self.survive(result, || format!("read at {offset:#x}")).await
    }

    fn capacity(&self) -> usize {
        self.double.capacity()
    }
}

// The sizes are known at run time only: the double refuses what is not aligned to the real ones.
impl NorFlash for BoardFlash {
    const WRITE_SIZE: usize = 1;
    const ERASE_SIZE: usize = 1;

    async fn erase(&mut self, from: u32, to: u32) -> Result<(), FlashFault> {
        let result = NorFlash::erase(&mut self.double, from, to).await;
        self.busy.erase((to - from) / self.double.config().sector_size);
        self.survive(result, || format!("erase at {from:#x}")).await
    }

    async fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), FlashFault> {
        let result = NorFlash::write(&mut self.double, offset, bytes).await;
        self.busy.write(offset, bytes.len(), self.double.config().write_size);
        self.survive(result, || format!("write of {} bytes at {offset:#x}", bytes.len())).await
    }
}

/// A journal, or none: a firmware would name one of the two types.
pub(crate) struct MaybeJournal<F>(Option<FlashJournal<F>>);

impl<F: NorFlash> Journal for MaybeJournal<F> {
    async fn load(&mut self) -> Result<Option<Record>, FlashError> {
        match &mut self.0 {
            Some(journal) => journal.load().await,
            None => Ok(None),
        }
    }

    async fn append(&mut self, record: &Record) -> Result<(), FlashError> {
        match &mut self.0 {
            Some(journal) => journal.append(record).await,
            None => Ok(()),
        }
    }
}

/// Where the bytes of a flash lie.
enum Bytes {
    Heap(Vec<u8>),
    File(FileMemory),
}

impl Bytes {
    /// A flash with these contents at these places, blank elsewhere, or the file as it was left.
    fn open(path: Option<&Path>, config: &FlashConfig, content: &[(u32, &[u8])]) -> anyhow::Result<Self> {
        let fresh = || {
            let mut bytes = vec![config.erased; config.size as usize];
            for &(start, part) in content {
                bytes[start as usize..][..part.len()].copy_from_slice(part);
            }
            bytes
        };
        let Some(path) = path else { return Ok(Self::Heap(fresh())) };
        if !path.exists() {
            // Renamed when it is whole, so that a process killed here leaves no half a flash behind.
            let half = beside(path, "new");
            fs::write(&half, fresh())
                .and_then(|()| fs::rename(&half, path))
                .with_context(|| path.display().to_string())?;
        }
        let length = fs::metadata(path)?.len();
        let (name, size) = (path.display(), config.size);
        ensure!(
            length == u64::from(size),
            "{name} holds {length} bytes, this board has {size}: another file, or other options"
        );
        Ok(Self::File(FileMemory::open(path, config)?))
    }
}

impl Memory for Bytes {
    fn capacity(&self) -> u32 {
        match self {
            Self::Heap(heap) => Memory::capacity(heap),
            Self::File(file) => Memory::capacity(file),
        }
    }

    fn load(&self, at: u32, bytes: &mut [u8]) -> Result<(), FlashFault> {
        match self {
            Self::Heap(heap) => heap.load(at, bytes),
            Self::File(file) => file.load(at, bytes),
        }
    }

    fn store(&mut self, at: u32, bytes: &[u8]) -> Result<(), FlashFault> {
        match self {
            Self::Heap(heap) => heap.store(at, bytes),
            Self::File(file) => file.store(at, bytes),
        }
    }

    fn fill(&mut self, at: u32, length: u32, value: u8) -> Result<(), FlashFault> {
        match self {
            Self::Heap(heap) => heap.fill(at, length, value),
            Self::File(file) => file.fill(at, length, value),
        }
    }

    fn all(&self, at: u32, length: u32, value: u8) -> Result<bool, FlashFault> {
        match self {
            Self::Heap(heap) => heap.all(at, length, value),
            Self::File(file) => file.all(at, length, value),
        }
    }
}
