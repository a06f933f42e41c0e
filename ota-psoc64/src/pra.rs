//! Protected register access: what the secure core does on request (TRM: "Protected registers"; vendor's PRA driver).
//!
//! On a PSoC 64 watchdog, clocks and flash cache belong to the Cortex-M0+. A message of 16 bytes in RAM goes through IPC
//! structure 4; the secure core serves it in about 50 µs and releases the structure. The secure firmware has to run the server, as
//! Trusted Firmware-M does. Only reads and writes of single registers are sent: clocks stay as the secure core set them.

use ota_psoc6::processor::Processor;
use ota_psoc6::syscall::FlashCache;
use ota_psoc6::watchdog::Feed;

const BASE: u32 = 0x4022_0080;
const ACQUIRE: u32 = BASE;
const NOTIFY: u32 = BASE + 0x08;
const DATA0: u32 = BASE + 0x0C;
const LOCK_STATUS: u32 = BASE + 0x1C;
const LOCKED: u32 = 1 << 31;
/// IPC interrupt structure 5.
const NOTIFY_PRA: u32 = 1 << 5;

const READ: u32 = 1;
const WRITE: u32 = 3;
const REQUEST_SENT: u32 = 0x0118_0FFC;
const SUCCESS: u32 = 0;

/// Bytes of RAM a message takes.
pub const MESSAGE_SIZE: u32 = 16;
/// Looks at the lock before the server counts as dead: 50 µs are some thousand cycles, this a hundred times as many.
const LOOKS: u32 = 100_000;

/// Registers a message may name, with the vendor's indices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum Register {
    /// SRSS_INTR: writing 1 feeds the watchdog.
    SrssIntr = 1,
    /// CLK_ROOT_SELECT of `clk_hf2`, the serial memory interface's clock.
    ClkRootSelect2 = 6,
    /// CLK_ROOT_SELECT of `clk_hf4`, the SDIO host's clock.
    ClkRootSelect4 = 8,
    /// FLASH_CMD: writing 1 makes the flash cache forget.
    FlashCmd = 11,
}

/// Why a register was not reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PraError {
    /// Somebody else held the mailbox all the time. Nothing was done.
    Busy,
    /// The secure core does not answer: no server runs, or it hangs.
    Stuck,
    /// The secure core refused, with its reason.
    Refused(u32),
}

/// RAM for one message, reached by address, since the other core reads and writes it.
#[derive(Clone, Copy, Debug)]
pub struct Message {
    address: u32,
}

impl Message {
    /// [`MESSAGE_SIZE`] bytes at `address`.
    ///
    /// # Safety
    /// The bytes lie in SRAM that both cores reach, start at a multiple of four, and nothing else uses them. All copies of the
    /// value use the same bytes, from one thread of execution.
    pub const unsafe fn at(address: u32) -> Self {
        Self { address }
    }

    /// A message in a model's RAM.
    #[cfg(feature = "model")]
    pub fn in_model(address: u32) -> Self {
        Self { address }
    }
}

/// A place for a [`Message`] in a `static`.
#[derive(Debug)]
#[repr(C, align(4))]
pub struct MessagePlace {
    bytes: core::cell::UnsafeCell<[u8; MESSAGE_SIZE as usize]>,
    taken: core::sync::atomic::AtomicBool,
}

// SAFETY: the bytes are never referred to from Rust; their address is handed out once.
unsafe impl Sync for MessagePlace {}

impl MessagePlace {
    /// A place nobody has taken.
    pub const fn new() -> Self {
        let bytes = core::cell::UnsafeCell::new([0; MESSAGE_SIZE as usize]);
        Self { bytes, taken: core::sync::atomic::AtomicBool::new(false) }
    }

    /// The RAM, once; `None` from then on.
    #[cfg(target_os = "none")]
    pub fn take(&'static self) -> Option<Message> {
        let taken = self.taken.swap(true, core::sync::atomic::Ordering::AcqRel);
        // On the chip a pointer is an address of 32 bits.
        (!taken).then(|| Message { address: self.bytes.get() as usize as u32 })
    }
}

impl Default for MessagePlace {
    fn default() -> Self {
        Self::new()
    }
}

/// The way to the secure core's registers.
///
/// A handle: copies share one message, which is filled, sent and read with interrupts off.
#[derive(Clone, Copy, Debug)]
pub struct Pra<P> {
    chip: P,
    message: Message,
}

impl<P: Processor> Pra<P> {
    /// Access through `message`.
    pub const fn new(chip: P, message: Message) -> Self {
        Self { chip, message }
    }

    /// Reads a register.
    ///
    /// # Errors
    /// [`PraError`].
    pub fn read(&self, register: Register) -> Result<u32, PraError> {
        self.request(READ, register, 0)
    }

    /// Writes a register.
    ///
    /// # Errors
    /// [`PraError`].
    pub fn write(&self, register: Register, value: u32) -> Result<(), PraError> {
        self.request(WRITE, register, value).map(drop)
    }

    /// Inlined whole where it makes the flash cache forget: that runs from RAM.
    #[inline(always)]
    fn request(&self, command: u32, register: Register, value: u32) -> Result<u32, PraError> {
        let were_on = self.chip.mask_interrupts();
        let result = self.exchange(command, register, value);
        if were_on {
            self.chip.unmask_interrupts();
        }
        result
    }

    #[inline(always)]
    fn exchange(&self, command: u32, register: Register, value: u32) -> Result<u32, PraError> {
        let Self { chip, message: Message { address } } = *self;
        let mut looks = 0;
        while chip.read32(ACQUIRE) & LOCKED == 0 {
            looks += 1;
            if looks >= LOOKS {
                return Err(PraError::Busy);
            }
        }
        chip.write32(address, command | (register as u32) << 16);
        chip.write32(address + 4, REQUEST_SENT);
        chip.write32(address + 8, value);
        chip.write32(address + 12, 0);
        chip.write32(DATA0, address);
        chip.barrier();
        chip.write32(NOTIFY, NOTIFY_PRA);
        looks = 0;
        while chip.read32(LOCK_STATUS) & LOCKED != 0 {
            looks += 1;
            if looks >= LOOKS {
                return Err(PraError::Stuck);
            }
        }
        chip.barrier();
        match chip.read32(address + 4) {
            SUCCESS => Ok(chip.read32(address + 8)),
            status => Err(PraError::Refused(status)),
        }
    }
}

/// The watchdog, fed through the secure core.
#[derive(Clone, Copy, Debug)]
pub struct Watchdog<P>(Pra<P>);

impl<P: Processor> Watchdog<P> {
    /// The watchdog behind `pra`.
    pub const fn new(pra: Pra<P>) -> Self {
        Self(pra)
    }
}

impl<P: Processor> Feed for Watchdog<P> {
    /// A feed that does not get through is not repeated: the next one comes soon, and when none gets through the watchdog
    /// is right to bite.
    fn feed(&mut self) {
        let _ = self.0.write(Register::SrssIntr, 1);
    }
}

/// The flash cache, told to forget through the secure core.
#[derive(Clone, Copy, Debug)]
pub struct Cache<P>(Pra<P>);

impl<P: Processor> Cache<P> {
    /// The cache behind `pra`.
    pub const fn new(pra: Pra<P>) -> Self {
        Self(pra)
    }
}

impl<P: Processor> FlashCache for Cache<P> {
    #[inline(always)]
    fn invalidate<Q: Processor>(&mut self, _: Q) -> bool {
        self.0.request(WRITE, Register::FlashCmd, 1).is_ok()
    }
}
