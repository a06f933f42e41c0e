//! The simulated board: one flash with both slots, a bootloader, and a power supply that can fail.

use std::cell::{Cell, RefCell};
use std::fs;
use std::future::pending;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use anyhow::{Context, bail, ensure};
use embedded_storage_async::nor_flash::{ErrorType, NorFlash, ReadNorFlash};
use ota_core::boot::SharedFlash;
use ota_core::geometry::{Geometry, ImageLayout, ImageSlots, MaxAlign, Reprogram, SlotLayout};
use ota_core::journal::{FlashJournal, Journal, JournalLayout, JournalRegion, Record};
use ota_core::slot::FlashError;
use ota_sim::flash::file::FileMemory;
use ota_sim::flash::{
    Actor, Counters, Cut, Device, FlashConfig, FlashDouble, FlashFault, Kind, Memory, Supply, Tear,
    VecLedger, When,
};
use ota_sim::mcuboot::{
    Area, Bootloader, Config, ImageBoot, ImageSlots as BootSlots, Mode as BootMode, PublicKey, StatusVersion,
    Validation,
};
use tokio::sync::Notify;

use crate::options::{Mode, Options};
use crate::update::Update;

/// Sectors of the journal: two are the least, more wear less.
const JOURNAL_SECTORS: u32 = 4;
/// Sectors of the scratch area.
const SCRATCH_SECTORS: u32 = 4;
/// Row of the part that holds the status partition of swap-status.
const ROW_SIZE: u32 = 512;
/// Room of that part: three records of up to 84 rows, each twice.
const STATUS_SIZE: u32 = 1 << 18;
/// A write unit above this is a row that is rewritten whole.
const WRITE_ONCE_MAX: u32 = 32;

/// Zones whose counters are kept apart.
mod zone {
    pub(super) const SECONDARY: usize = 0;
    pub(super) const JOURNAL: usize = 1;
    pub(super) const PRIMARY: usize = 2;
}

type Double = FlashDouble<Bytes, 1, 1, VecLedger, Rc<Supply>>;

/// The board. `flash`, `layout` and `journal` are what a firmware knows of its own.
pub(crate) struct Board {
    /// The flash device with slots and journal.
    pub(crate) flash: RefCell<BoardFlash>,
    /// Where the two slots lie in it.
    pub(crate) layout: ImageLayout,
    /// Where the journal lies in it; `None`: the firmware is to have none.
    pub(crate) journal: Option<JournalRegion>,
    status: RefCell<Double>,
    supply: Rc<Supply>,
    outage: Rc<Outage>,
    mode: BootMode,
    slots: [BootSlots; 1],
    scratch: Area,
    keys: Vec<PublicKey>,
    before_pending: Cell<Option<Download>>,
}

/// What was done to the secondary slot for the download.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Download {
    pub(crate) counters: Counters,
    pub(crate) max_erases_per_sector: u32,
}

impl Board {
    /// Builds the board the options describe, with the factory image in its primary slot, or finds it as it was left.
    pub(crate) fn new(options: &Options, update: &Update) -> anyhow::Result<Self> {
        let &Options { slot_size, sector_size, write_size, erased, .. } = options;
        let kind = if write_size > WRITE_ONCE_MAX { Kind::RowRewrite } else { Kind::NorReprogram };
        let span = |sectors: u32| sectors.checked_mul(sector_size);
        let journal_start =
            slot_size.checked_mul(2).zip(span(SCRATCH_SECTORS)).and_then(|(a, b)| a.checked_add(b));
        let size = journal_start.zip(span(JOURNAL_SECTORS)).and_then(|(a, b)| a.checked_add(b));
        let (Some(journal_start), Some(size)) = (journal_start, size.filter(|size| *size <= 1 << 30)) else {
            bail!("two slots of this size make a flash of more than 1 GiB");
        };
        let config = FlashConfig { size, sector_size, write_size, erased, kind };
        config.check().context("--slot-size, --sector-size, --write-size")?;

        let slot = SlotLayout {
            start: 0,
            size: slot_size,
            sector_size,
            write_size,
            erased,
            reprogram: Reprogram::Allowed,
            rewrite: kind == Kind::RowRewrite,
            erase_ms: 0,
        };
        // A unit of 16 or 32 bytes needs a bootloader built for it; below, and with whole rows, MCUboot's default serves.
        let max_align = match (write_size, options.boot_mode) {
            (_, Mode::SwapStatus) => MaxAlign::M8,
            (16, _) => MaxAlign::M16,
            (32, _) => MaxAlign::M32,
            (_, _) => MaxAlign::M8,
        };
        let layout = ImageLayout::new(ImageSlots {
            primary: Geometry::new(slot)?,
            secondary: Geometry::new(SlotLayout { start: slot_size, ..slot })?,
            mode: options.boot_mode.into(),
            max_align,
            boot_write_size: max_align.bytes(),
            max_sectors: slot_size.div_ceil(sector_size).max(128),
        })?;
        ensure!(
            update.factory.len() <= layout.max_image_size() as usize,
            "--slot-size: no room for version 0.9.0"
        );
        let journal = JournalRegion::new(JournalLayout {
            start: journal_start,
            sector_count: JOURNAL_SECTORS,
            sector_size,
            write_size,
            erased,
            reprogram: Reprogram::Allowed,
            rewrite: kind == Kind::RowRewrite,
        })?;

        let supply = Rc::new(Supply::new());
        let bytes = Bytes::open(options.flash.as_deref(), &config, &update.factory)?;
        let mut double = with_ledger(bytes, Rc::clone(&supply), config)?;
        double.watch(zone::SECONDARY, slot_size..2 * slot_size);
        double.watch(zone::JOURNAL, journal_start..size);
        double.watch(zone::PRIMARY, 0..slot_size);
        // Only swap-status has a status partition; in the others nobody looks at this part.
        let status_file = options
            .flash
            .as_deref()
            .filter(|_| options.boot_mode == Mode::SwapStatus)
            .map(|p| beside(p, "status"));
        let status_config = FlashConfig::row_rewrite(STATUS_SIZE, ROW_SIZE);
        let status = Bytes::open(status_file.as_deref(), &status_config, &[])?;
        let status = with_ledger(status, Rc::clone(&supply), status_config)?;
        if let Some(operation) = options.cut {
            supply.arm_for(Actor::Application, Cut { operation, when: When::Inside(Tear::Half) });
        }
        let outage = Rc::new(Outage::default());
        let area = |start, size| Area { device: 0, start, size };
        let keys = update
            .image_keys
            .iter()
            .map(|der| PublicKey::from_spki(der).context("--image-key: not a P-256 key"));
        let board = Self {
            flash: RefCell::new(BoardFlash { double, outage: Rc::clone(&outage) }),
            layout,
            journal: (!options.no_journal).then_some(journal),
            status: RefCell::new(status),
            supply,
            outage,
            mode: match options.boot_mode {
                Mode::Overwrite => BootMode::Overwrite,
                Mode::SwapScratch => BootMode::SwapScratch,
                Mode::SwapMove => BootMode::SwapMove,
                Mode::SwapOffset => BootMode::SwapOffset,
                Mode::SwapStatus => BootMode::SwapStatus(StatusVersion::V1_8),
            },
            slots: [BootSlots { primary: area(0, slot_size), secondary: area(slot_size, slot_size) }],
            scratch: area(2 * slot_size, SCRATCH_SECTORS * sector_size),
            keys: keys.collect::<anyhow::Result<_>>()?,
            before_pending: Cell::new(None),
        };
        Ok(board)
    }

    /// Power on: MCUboot finishes or begins what the trailers ask for and starts the image in the primary slot.
    pub(crate) fn boot(&self) -> anyhow::Result<ImageBoot> {
        self.supply.power_on();
        let (mut flash, mut status) = (self.flash.borrow_mut(), self.status.borrow_mut());
        let mut config = Config::new(self.mode, &self.slots);
        config.scratch = Some(self.scratch);
        config.status = Some(Area { device: 1, start: 0, size: STATUS_SIZE });
        config.max_align = self.layout.max_align().bytes();
        config.write_size = self.layout.boot_write_size();
        config.max_sectors = self.layout.max_sectors();
        if !self.keys.is_empty() {
            config.validation = Validation::Keys(&self.keys);
        }
        let bootloader = Bootloader::new(config, &[flash.double.config(), status.config()])?;
        let boot = bootloader.boot(&mut [&mut flash.double, &mut *status], &mut [])?;
        match boot.image(0) {
            Some(image) if image.running.is_some() => Ok(*image),
            Some(_) | None => bail!("the device does not boot: {boot:?}"),
        }
    }

    /// Waits until the power fails; says in which operation.
    pub(crate) async fn power_lost(&self) -> String {
        // Not through the flash: whoever lost the power in an operation still holds it.
        self.outage.failed.notified().await;
        self.outage.operation.take()
    }

    /// The firmware's journal, if it is to have one.
    pub(crate) fn journal<'b>(
        &self,
        flash: SharedFlash<'b, BoardFlash>,
    ) -> anyhow::Result<MaybeJournal<SharedFlash<'b, BoardFlash>>> {
        Ok(MaybeJournal(self.journal.map(|region| FlashJournal::new(flash, region)).transpose()?))
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
        let flash = self.flash.borrow();
        let counters = flash.double.watched(zone::SECONDARY);
        // The ledger counts the bootloader's erases too; where there was no download these are the only ones.
        let worst = flash.double.max_erases_per_sector(self.layout.secondary().covered());
        Download { counters, max_erases_per_sector: worst.min(counters.erases) }
    }

    /// What the firmware did to the journal, and to the primary slot (the confirm).
    pub(crate) fn journal_and_confirm(&self) -> (Counters, Counters) {
        let flash = self.flash.borrow();
        (flash.double.watched(zone::JOURNAL), flash.double.watched(zone::PRIMARY))
    }

    /// What the bootloader did to the slots.
    pub(crate) fn bootloader(&self) -> Counters {
        self.flash.borrow().double.counters_of(Actor::Bootloader)
    }

    /// Writes and sector erases of the firmware: what `--cut` counts.
    pub(crate) fn operations(&self) -> u32 {
        self.flash.borrow().double.counters().operations
    }

    /// Flash operations no chip would have taken; a fault of the library.
    pub(crate) fn violations(&self) -> u32 {
        self.flash.borrow().double.strict_violations()
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
        self.survive(result, || format!("erase at {from:#x}")).await
    }

    async fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), FlashFault> {
        let result = NorFlash::write(&mut self.double, offset, bytes).await;
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
    /// A flash that starts with `content` and is blank behind it, or the file as it was left.
    fn open(path: Option<&Path>, config: &FlashConfig, content: &[u8]) -> anyhow::Result<Self> {
        let fresh = || {
            let mut bytes = content.to_vec();
            bytes.resize(config.size as usize, config.erased);
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
