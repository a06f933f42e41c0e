//! Internal flash through the chip's boot ROM: system calls served by the Cortex-M0+ (TRM: "Nonvolatile memory programming";
//! vendor's flash driver for this die, which needs neither the pipe handshake nor the clock calibration of the 1 MB parts).
//!
//! A call is four words in RAM, whose address goes through IPC structure 1, the Cortex-M4's own. The Cortex-M0+ runs it in a
//! non-maskable interrupt on the *bootloader's* stack and releases the structure when it is done. Meanwhile nobody may read
//! flash, so the sequence runs from RAM with interrupts off: about 20 ms at most.

use crate::processor::Processor;

/// IPC structures: the system calls of Cortex-M0+, Cortex-M4 and debug port.
const IPC: [u32; 3] = [0x4022_0000, 0x4022_0020, 0x4022_0040];
const OWN: u32 = IPC[1];
const ACQUIRE: u32 = OWN;
const NOTIFY: u32 = OWN + 0x08;
const DATA0: u32 = OWN + 0x0C;
const LOCK_STATUS: u32 = 0x1C;
/// ACQUIRE: the lock is ours now; LOCK_STATUS: somebody holds it.
const LOCKED: u32 = 1 << 31;
/// Notify bit of IPC interrupt structure 0, the system call's.
const SYSTEM_CALL: u32 = 1;
const FLASH_CMD: u32 = 0x4024_0008;
const INVALIDATE: u32 = 1;

/// Bytes of a row.
pub const ROW: usize = 512;
/// Bytes of RAM a [`Ram`] takes: the parameter block and one row.
pub const RAM_SIZE: u32 = BLOCK_SIZE + ROW as u32;
const BLOCK_SIZE: u32 = 16;

/// Milliseconds a call may take at most before the mailbox counts as stuck.
const LIMIT_MS: u32 = 200;
/// Fewest processor cycles of one look at the lock: a bus read and a branch.
const CYCLES_PER_LOOK: u32 = 8;
/// Looks at the cache's command register; it takes a few cycles.
const CACHE_LOOKS: u32 = 10_000;

/// Why a system call failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyscallError {
    /// Somebody else holds the mailbox. Nothing was done; try again.
    Busy,
    /// The other core did not answer in time and may still work on the call. Nothing is read or sent until it lets go.
    Stuck,
    /// The call was done, but the flash cache did not take the command to forget. Nothing is read or sent until it does.
    Cache,
    /// The boot ROM refused, with its reason.
    Refused(Status),
}

/// What the boot ROM answers when it refuses (the vendor's `cy_flash.h`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// 0xF000_0001: not in this protection state.
    Protection,
    /// 0xF000_0003: invalid page-latch address.
    LatchAddress,
    /// 0xF000_0004: invalid flash address.
    Address,
    /// 0xF000_0005: the row is write-protected.
    WriteProtected,
    /// 0xF000_0022: the row does not hold what was programmed.
    Compare,
    /// Anything else, as it was read.
    Unknown(u32),
}

impl Status {
    /// Decodes the first word of the block after a call.
    pub const fn decode(word: u32) -> Result<(), Self> {
        match word {
            // The vendor's driver takes a zero for success too. In progress is what a non-blocking call says; ours block.
            0 | 0xA000_0000 => Ok(()),
            0xF000_0001 => Err(Self::Protection),
            0xF000_0003 => Err(Self::LatchAddress),
            0xF000_0004 => Err(Self::Address),
            0xF000_0005 => Err(Self::WriteProtected),
            0xF000_0022 => Err(Self::Compare),
            word if word >> 28 == 0xA && word != IN_PROGRESS => Ok(()),
            word => Err(Self::Unknown(word)),
        }
    }
}

const IN_PROGRESS: u32 = 0xA000_0009;

/// The processor's cache in front of flash, which knows nothing of what system calls change.
pub trait FlashCache {
    /// Makes the cache forget everything. `false` when it does not. Called from RAM with interrupts off, so that it must be
    /// inlined whole.
    fn invalidate<P: Processor>(&mut self, chip: P) -> bool;
}

/// The cache's own command register: on PSoC 62.
#[derive(Clone, Copy, Debug, Default)]
pub struct DirectCache;

impl FlashCache for DirectCache {
    #[inline(always)]
    fn invalidate<P: Processor>(&mut self, chip: P) -> bool {
        chip.write32(FLASH_CMD, INVALIDATE);
        let mut looks = 0;
        while looks < CACHE_LOOKS {
            if chip.read32(FLASH_CMD) & INVALIDATE == 0 {
                return true;
            }
            looks += 1;
        }
        false
    }
}

/// RAM for a parameter block and one row. The other core reads and writes it, so it is reached by address, through the bus.
#[derive(Debug)]
pub struct Ram {
    address: u32,
}

impl Ram {
    /// [`RAM_SIZE`] bytes at `address`.
    ///
    /// # Safety
    /// The bytes lie in SRAM that both cores reach, start at a multiple of four, and nothing else uses them.
    pub const unsafe fn at(address: u32) -> Self {
        Self { address }
    }

    #[cfg(feature = "model")]
    pub(crate) const fn in_model(address: u32) -> Self {
        Self { address }
    }

    const fn data(&self) -> u32 {
        self.address + BLOCK_SIZE
    }
}

/// A place for a [`Ram`] in a `static`.
///
/// ```
/// use ota_psoc6::syscall::RamPlace;
///
/// static PLACE: RamPlace = RamPlace::new();
/// ```
#[derive(Debug)]
#[repr(C, align(4))]
pub struct RamPlace {
    bytes: core::cell::UnsafeCell<[u8; RAM_SIZE as usize]>,
    taken: core::sync::atomic::AtomicBool,
}

// SAFETY: the bytes are never referred to from Rust; their address is handed out once.
unsafe impl Sync for RamPlace {}

impl RamPlace {
    /// A place nobody has taken.
    pub const fn new() -> Self {
        let bytes = core::cell::UnsafeCell::new([0; RAM_SIZE as usize]);
        Self { bytes, taken: core::sync::atomic::AtomicBool::new(false) }
    }

    /// The RAM, once; `None` from then on.
    #[cfg(target_os = "none")]
    pub fn take(&'static self) -> Option<Ram> {
        let taken = self.taken.swap(true, core::sync::atomic::Ordering::AcqRel);
        // On the chip a pointer is an address of 32 bits.
        (!taken).then(|| Ram { address: self.bytes.get() as usize as u32 })
    }
}

impl Default for RamPlace {
    fn default() -> Self {
        Self::new()
    }
}

/// The Cortex-M4's system calls on flash.
///
/// Several values may exist, each with RAM of its own: the mailbox has a lock, and a call that meets it returns
/// [`SyscallError::Busy`].
#[derive(Debug)]
pub struct SystemCalls<P, C = DirectCache> {
    chip: P,
    cache: C,
    ram: Ram,
    looks: u32,
    /// A call was given up on, so its block still belongs to the other core, or the cache has not yet forgotten what was there
    /// before it.
    unsettled: bool,
}

impl<P: Processor, C: FlashCache> SystemCalls<P, C> {
    /// System calls with `ram` for their parameters. `core_hz` is the processor's clock, from which the longest wait (200 ms
    /// and a little) is counted.
    pub const fn new(chip: P, cache: C, ram: Ram, core_hz: u32) -> Self {
        let looks = (core_hz / 1000).saturating_mul(LIMIT_MS) / CYCLES_PER_LOOK;
        Self { chip, cache, ram, looks: if looks == 0 { 1 } else { looks }, unsettled: false }
    }

    /// Erases the row at `address` to 0x00.
    pub fn erase_row(&mut self, address: u32) -> Result<(), SyscallError> {
        self.call([0x1C00_0100, address, 0, 0])
    }

    /// Erases the eight rows at `address` to 0x00, in the time of one.
    pub fn erase_subsector(&mut self, address: u32) -> Result<(), SyscallError> {
        self.call([0x1D00_0100, address, 0, 0])
    }

    /// Programs the row at `address`, which must have been erased.
    pub fn program_row(&mut self, address: u32, row: &[u8; ROW]) -> Result<(), SyscallError> {
        self.call_with(row, |data| [0x0600_0100, 0x100, address, data])
    }

    /// Erases and programs the row at `address`. Not atomic: a power cut leaves any contents.
    pub fn write_row(&mut self, address: u32, row: &[u8; ROW]) -> Result<(), SyscallError> {
        self.call_with(row, |data| [0x0500_0100, 0, address, data])
    }

    fn call_with(
        &mut self,
        row: &[u8; ROW],
        words: impl FnOnce(u32) -> [u32; 4],
    ) -> Result<(), SyscallError> {
        self.recover()?;
        let data = self.ram.data();
        for (at, word) in (data..).step_by(4).zip(row.chunks_exact(4)) {
            let [a, b, c, d] = *word else { continue };
            self.chip.write32(at, u32::from_le_bytes([a, b, c, d]));
        }
        self.call(words(data))
    }

    fn call(&mut self, words: [u32; 4]) -> Result<(), SyscallError> {
        self.recover()?;
        for (at, word) in (self.ram.address..).step_by(4).zip(words) {
            self.chip.write32(at, word);
        }
        match transact(self.chip, &mut self.cache, self.ram.address, self.looks) {
            Ok(word) => Status::decode(word).map_err(SyscallError::Refused),
            Err(error) => {
                self.unsettled = matches!(error, SyscallError::Stuck | SyscallError::Cache);
                Err(error)
            }
        }
    }

    /// After a call that was given up on, nothing is sent, the block is not touched and flash is not read until the other core
    /// has let go and the cache has forgotten. To be called before flash is read.
    pub(crate) fn recover(&mut self) -> Result<(), SyscallError> {
        if self.unsettled {
            if self.chip.read32(OWN + LOCK_STATUS) & LOCKED != 0 {
                return Err(SyscallError::Stuck);
            }
            if !self.cache.invalidate(self.chip) {
                return Err(SyscallError::Cache);
            }
            self.unsettled = false;
        }
        Ok(())
    }
}

/// Whether a system call of any core or of the debug port is under way. Resetting now may corrupt a row.
pub fn is_busy<P: Processor>(chip: P) -> bool {
    IPC.iter().any(|structure| chip.read32(structure + LOCK_STATUS) & LOCKED != 0)
}

/// Sends the block and waits. Everything in here is inlined, and the whole lies in RAM: meanwhile flash cannot be read, not
/// even by an instruction fetch.
#[cfg_attr(target_os = "none", unsafe(link_section = ".data.ota_psoc6_transact"))]
#[inline(never)]
fn transact<P: Processor, C: FlashCache>(
    chip: P,
    cache: &mut C,
    block: u32,
    looks: u32,
) -> Result<u32, SyscallError> {
    let were_on = chip.mask_interrupts();
    let mut result = Err(SyscallError::Busy);
    if chip.read32(ACQUIRE) & LOCKED != 0 {
        chip.write32(DATA0, block);
        chip.barrier();
        chip.write32(NOTIFY, SYSTEM_CALL);
        result = Err(SyscallError::Stuck);
        let mut look = 0;
        while look < looks {
            if chip.read32(OWN + LOCK_STATUS) & LOCKED == 0 {
                chip.barrier();
                let word = chip.read32(block);
                // Also after a refusal: part of it may have been done.
                result = if cache.invalidate(chip) { Ok(word) } else { Err(SyscallError::Cache) };
                break;
            }
            look += 1;
        }
    }
    if were_on {
        chip.unmask_interrupts();
    }
    result
}
