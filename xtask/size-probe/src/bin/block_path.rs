//! The way of a block on an emulated Cortex-M4 (`qemu-system-arm -machine mps2-an386 -icount shift=0`): instructions and
//! peak stack, from the message in hand to flash in RAM. `cargo xtask sizes` builds it, runs it and reads its lines.
//!
//! With `shift=0` an instruction takes a virtual nanosecond, and SysTick counts at 25 MHz: one tick is 40 instructions.
#![no_std]
#![no_main]

use core::{
    arch::asm,
    cell::RefCell,
    convert::Infallible,
    fmt::Write,
    hint::black_box,
    pin::pin,
    task::{Context, Poll, Waker},
};

use cortex_m_semihosting::{debug, hio, hprintln};
use embedded_storage_async::nor_flash::{ErrorType, NorFlash, ReadNorFlash};
use ota_core::{
    agent::{self, Action, Agent, Config, Failure, Input, MAX_PAYLOAD_SIZE, Part, StateKind, TopicBuffer},
    boot::{Image, Images, SharedFlash},
    driver::{Held, decode},
    geometry::{BootMode, Geometry, ImageLayout, ImageSlots, MaxAlign, Reprogram, SlotLayout},
    policy::Answer,
    slot::{FlashError, Slot},
    transport::Received,
};

const THING: &str = "bench-thing";
const BLOCK_TOPIC: &str = "$aws/things/bench-thing/streams/bench-stream/data/cbor";
const JOB_TOPIC: &str = "$aws/things/bench-thing/jobs/$next/get/accepted";
/// The clock stands still: nothing is ever late.
const NOW_MS: u64 = 1;

const SLOT_SIZE: usize = 1 << 20;
const BLOCK_SIZE: usize = 4096;
/// Most of the slot, and what `JOB` says.
const FILE_SIZE: usize = 786_432;
const BLOCK_COUNT: usize = FILE_SIZE / BLOCK_SIZE;
const JOB: &[u8] = br#"{"clientToken":"0:0","timestamp":1,"execution":{"jobId":"bench-job","status":"QUEUED","versionNumber":1,
"executionNumber":1,"jobDocument":{"afr_ota":{"protocols":["MQTT"],"streamname":"bench-stream","files":[
{"filepath":"/","filesize":786432,"fileid":0,"certfile":"/","sig-sha256-ecdsa":"MAYCAQECAQE="}]}}}}"#;

/// The kits' external NOR: sectors of 256 KiB, pages of 512 bytes.
const SECONDARY: Geometry = Geometry::checked(SlotLayout {
    start: 0,
    size: SLOT_SIZE as u32,
    sector_size: 256 << 10,
    write_size: 512,
    erased: 0xff,
    reprogram: Reprogram::Forbidden,
    rewrite: false,
    erase_ms: 520,
});
const LAYOUT: ImageLayout = ImageLayout::checked(ImageSlots {
    primary: SECONDARY,
    secondary: SECONDARY,
    mode: BootMode::Overwrite,
    max_align: MaxAlign::M16,
    boot_write_size: 16,
    max_sectors: 2048,
});

/// Flash that costs its copy and nothing else.
struct RamFlash {
    bytes: &'static mut [u8],
}

impl ErrorType for RamFlash {
    type Error = Infallible;
}

impl ReadNorFlash for RamFlash {
    const READ_SIZE: usize = 1;

    async fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), Infallible> {
        bytes.copy_from_slice(&self.bytes[offset as usize..offset as usize + bytes.len()]);
        Ok(())
    }

    fn capacity(&self) -> usize {
        self.bytes.len()
    }
}

impl NorFlash for RamFlash {
    const WRITE_SIZE: usize = 16;
    const ERASE_SIZE: usize = 4096;

    async fn erase(&mut self, from: u32, to: u32) -> Result<(), Infallible> {
        self.bytes[from as usize..to as usize].fill(0xff);
        Ok(())
    }

    async fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), Infallible> {
        copy(&mut self.bytes[offset as usize..offset as usize + bytes.len()], bytes);
        Ok(())
    }
}

/// Copies a multiple of 16 bytes to a place aligned to a word, from wherever the payload lies in its message. Rust's own
/// `memcpy` takes 2.5 instructions a byte when source and destination are not aligned together; a flash driver has
/// its own way too.
#[inline(never)]
fn copy(to: &mut [u8], from: &[u8]) {
    assert!(to.len() == from.len() && from.len().is_multiple_of(16) && !from.is_empty());
    // SAFETY: reads and writes exactly the bytes of the two slices, whose equal length is a multiple of 16 above 0. An
    // unaligned LDR is what Armv7E-M allows; STM wants the alignment `to` has.
    unsafe {
        asm!(
            "2:",
            "ldr r2, [r0], #4",
            "ldr r3, [r0], #4",
            "ldr r4, [r0], #4",
            "ldr r5, [r0], #4",
            "stmia r1!, {{r2, r3, r4, r5}}",
            "subs {count}, #16",
            "bne 2b",
            count = inout(reg) from.len() => _,
            inout("r0") from.as_ptr() => _,
            inout("r1") to.as_mut_ptr() => _,
            out("r2") _, out("r3") _, out("r4") _, out("r5") _,
            options(nostack),
        );
    }
}

/// Flash in RAM never waits, so each future is ready at once.
fn ready<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
    }
}

/// SysTick, counting down from 2^24 - 1 at 25 MHz.
mod ticks {
    const CONTROL: *mut u32 = 0xE000_E010 as *mut u32;
    const RELOAD: *mut u32 = 0xE000_E014 as *mut u32;
    const CURRENT: *mut u32 = 0xE000_E018 as *mut u32;
    const MASK: u32 = 0x00FF_FFFF;
    pub(crate) const INSTRUCTIONS: u32 = 40;

    pub(crate) fn start() {
        // SAFETY: the registers of SysTick (Armv7-M, B3.3), which nothing else uses in this program.
        unsafe {
            RELOAD.write_volatile(MASK);
            CURRENT.write_volatile(0);
            // Enabled, from the processor's clock, no interrupt.
            CONTROL.write_volatile(5);
        }
    }

    pub(crate) fn now() -> u32 {
        // SAFETY: as above.
        unsafe { CURRENT.read_volatile() }
    }

    pub(crate) fn since(start: u32) -> u32 {
        start.wrapping_sub(now()) & MASK
    }
}

type Flash<'m> = SharedFlash<'m, RamFlash>;

/// A device in the middle of a download.
struct Device<'m> {
    agent: Agent<'m>,
    images: Image<Flash<'m>, Flash<'m>>,
    /// The secondary once more, for writes without read-back.
    slot: Slot<Flash<'m>>,
    /// Write with read-back.
    read_back: bool,
    /// Where the driver's frame ends.
    stack: usize,
}

impl Device<'_> {
    /// The outstanding receive brings a message; works until the device receives again. True when all it took was to write
    /// the message to flash. This is the driver: what is called from here is the block path, whose stack begins below
    /// this frame.
    #[inline(never)]
    fn receive(&mut self, topic: &str, payload: &[u8]) -> bool {
        self.stack = stack_pointer();
        let received = Received { topic, payload };
        let held = match self.agent.take_block(NOW_MS, &received) {
            Some(block) => Held { block, payload },
            None => self.other_message(&received),
        };
        let mut action = *self.agent.action();
        let mut only_writes = true;
        loop {
            action = match action {
                Action::Receive { .. } | Action::Verify { .. } => return only_writes,
                Action::Write(part) => {
                    let written =
                        if self.read_back { self.write(&part, &held) } else { self.program(&part, &held) };
                    let input = match written {
                        Ok(()) => Input::Done,
                        Err(error) => Input::Failed(Failure::Flash(error)),
                    };
                    self.agent.step(NOW_MS, input)
                }
                other => {
                    only_writes = false;
                    self.other(other, &held)
                }
            };
        }
    }

    /// Nearly every block takes the lane; what does not is kept out of the frame that is measured.
    #[inline(never)]
    fn other_message<'r>(&mut self, received: &Received<'r>) -> Held<'r> {
        let message = match self.agent.read_block(received) {
            Some(message) => message,
            None => decode(THING, received, &mut []),
        };
        self.agent.step(NOW_MS, Input::Message(&message));
        Held::new(&message, received.payload)
    }

    #[inline(never)]
    fn write(&mut self, part: &Part, held: &Held<'_>) -> Result<(), FlashError> {
        ready(self.images.write(part.image, part.at, held.part(part.from, part.to)))
    }

    #[inline(never)]
    fn program(&mut self, part: &Part, held: &Held<'_>) -> Result<(), FlashError> {
        ready(self.slot.program(part.at, held.part(part.from, part.to)))
    }

    /// What happens seldom: kept out of the frame that is measured.
    #[inline(never)]
    fn other(&mut self, action: Action, held: &Held<'_>) -> Action {
        let input = match action {
            Action::Connect | Action::Subscribe(_) | Action::Record | Action::Hash { .. } => Input::Done,
            Action::Publish(publication) => {
                let (mut topic, mut payload) = (TopicBuffer::new(), [0; MAX_PAYLOAD_SIZE]);
                let encoded = self.agent.encode(&publication, &mut topic, &mut payload);
                black_box(&payload);
                encoded.map_or(Input::Failed(Failure::Refused), |_| Input::Done)
            }
            Action::Load => Input::Loaded(None),
            Action::Inspect { image } => match ready(self.images.inspect(image)) {
                Ok(state) => Input::Boot(state),
                Err(error) => Input::Failed(Failure::Flash(error)),
            },
            Action::Consult(_) => Input::Answer(Answer::Yes),
            Action::Erase { image, sector } => match ready(self.images.erase(image, sector)) {
                Ok(()) => Input::Done,
                Err(error) => Input::Failed(Failure::Flash(error)),
            },
            Action::Compare(part) => {
                match ready(self.images.compare(part.image, part.at, held.part(part.from, part.to))) {
                    Ok(compared) => Input::Compared(compared),
                    Err(error) => Input::Failed(Failure::Flash(error)),
                }
            }
            _ => Input::Failed(Failure::Refused),
        };
        self.agent.step(NOW_MS, input)
    }
}

/// Bytes of stack that are painted.
const PAINTED: usize = 8192;
const PAINT: u32 = 0xA5A5_A5A5;

#[inline(always)]
fn stack_pointer() -> usize {
    let top: usize;
    // SAFETY: reads the stack pointer.
    unsafe { asm!("mov {}, sp", out(reg) top, options(nomem, nostack)) };
    top
}

/// What this program's own small functions need of the stack while it is painted.
const MARGIN: usize = 64;

/// Paints what lies below the stack, which ends at `top`.
#[inline(never)]
fn paint(top: usize) {
    for at in (top - PAINTED..top - MARGIN).step_by(4) {
        // SAFETY: what lies below the stack belongs to nobody, and no interrupt is enabled.
        unsafe { (at as *mut u32).write_volatile(PAINT) };
    }
}

/// The lowest byte of stack that was used since [`paint`].
#[inline(never)]
fn lowest(top: usize) -> usize {
    // SAFETY: reads what was painted.
    let used = |at: &usize| unsafe { (*at as *const u32).read_volatile() } != PAINT;
    (top - PAINTED..top - MARGIN).step_by(4).find(used).unwrap_or(top)
}

/// Writes the message of block `id` as the service does; returns its length.
fn message(buffer: &mut [u8], id: usize) -> usize {
    let mut at = 0;
    let mut put = |bytes: &[u8]| {
        buffer[at..at + bytes.len()].copy_from_slice(bytes);
        at += bytes.len();
    };
    put(b"\xbf\x61f\x00\x61i");
    match id {
        0..24 => put(&[id as u8]),
        24..256 => put(&[24, id as u8]),
        _ => put(&[25, (id >> 8) as u8, id as u8]),
    }
    put(b"\x61l\x19\x10\x00\x61p\x59\x10\x00");
    let mut state = id as u32 | 0x9e37_0000;
    for word in 0..BLOCK_SIZE / 4 {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let word = match (id, word) {
            // An MCUboot header, as far as the agent looks at it before the download.
            (0, 0) => 0x96f3_b83d,
            (0, 1 | 4) => 0,
            (0, 2) => 0x20,
            (0, 3) => FILE_SIZE as u32 - 0x20 - 256,
            (0, 5) => 1,
            _ => state,
        };
        put(&word.to_le_bytes());
    }
    put(b"\xff");
    at
}

/// A whole download; the instructions and the count of the blocks that were written and nothing else, and the most
/// stack a block took.
fn download(read_back: bool) -> (u32, u32, usize) {
    static mut FLASH: [u8; SLOT_SIZE] = [0; SLOT_SIZE];
    // SAFETY: the only reference to the array: the one of an earlier call ended with it.
    let bytes: &'static mut [u8] = unsafe { &mut *(&raw mut FLASH) };
    bytes.fill(0xff);
    let flash = RefCell::new(RamFlash { bytes });
    let shared = SharedFlash::new(&flash);
    let config = Config {
        blocks_per_second: 0,
        progress_blocks: 0,
        ..Config::new(THING, core::slice::from_ref(&LAYOUT))
    };
    let memory = agent::Memory {
        strings: &mut [0; agent::Memory::STRINGS],
        blocks: &mut [0; agent::Memory::block_bytes(&LAYOUT, BLOCK_SIZE as u32)],
        sectors: &mut [0; agent::Memory::sector_bytes(&LAYOUT)],
    };
    let mut device = Device {
        agent: Agent::new(&config, memory).expect("a good configuration"),
        images: Image::new(shared, shared, LAYOUT).expect("a good layout"),
        slot: Slot::new(shared, SECONDARY).expect("a good slot"),
        read_back,
        stack: 0,
    };
    let mut action = device.agent.step(NOW_MS, Input::Start);
    while !matches!(action, Action::Receive { .. }) {
        action = device.other(action, &Held::NONE);
    }
    device.receive(JOB_TOPIC, JOB);
    assert!(device.agent.state().kind() == StateKind::Judging, "the job is taken");

    let mut buffer = [0; BLOCK_SIZE + 64];
    let (mut ticks, mut blocks, mut stack) = (0, 0, 0);
    for id in 0..BLOCK_COUNT {
        let len = message(&mut buffer, id);
        let payload = black_box(&buffer[..len]);
        if read_back {
            let top = stack_pointer();
            paint(top);
            if device.receive(BLOCK_TOPIC, payload) {
                stack = stack.max(device.stack - lowest(top));
                blocks += 1;
            }
        } else {
            let start = ticks::now();
            let only_writes = device.receive(BLOCK_TOPIC, payload);
            let taken = ticks::since(start);
            if only_writes {
                ticks += taken;
                blocks += 1;
            }
        }
    }
    let (held, total) = device.agent.progress();
    assert!(held == total && held as usize == BLOCK_COUNT, "every block is held");
    assert!(blocks > 0, "some blocks were written and nothing else");
    (ticks * ticks::INSTRUCTIONS, blocks, stack)
}

#[cortex_m_rt::entry]
fn main() -> ! {
    ticks::start();
    // What reading the clock costs, and what the driver's copy alone does.
    const ROUNDS: u32 = 64;
    let (from, mut to) = ([7_u32; BLOCK_SIZE / 4 + 16], [0_u32; BLOCK_SIZE / 4]);
    // SAFETY: arrays of words looked at as bytes.
    let (from, to) = unsafe {
        (
            core::slice::from_raw_parts(from.as_ptr().cast::<u8>().add(19), BLOCK_SIZE),
            core::slice::from_raw_parts_mut(to.as_mut_ptr().cast::<u8>(), BLOCK_SIZE),
        )
    };
    let (mut clock, mut copying) = (0, 0);
    for _ in 0..ROUNDS {
        let start = ticks::now();
        clock += ticks::since(start);
        let start = ticks::now();
        copy(black_box(&mut *to), black_box(from));
        copying += ticks::since(start);
    }
    let clock = clock * ticks::INSTRUCTIONS / ROUNDS;
    hprintln!("copy_instructions {}", copying * ticks::INSTRUCTIONS / ROUNDS - clock);
    let (instructions, blocks, _) = download(false);
    hprintln!("block_instructions {}", instructions / blocks - clock);
    hprintln!("block_windows {}", blocks);
    let (_, _, stack) = download(true);
    hprintln!("block_path_stack {}", stack);
    debug::exit(debug::EXIT_SUCCESS);
    loop {
        black_box(());
    }
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    if let Ok(mut output) = hio::hstderr() {
        let _ = writeln!(output, "{info}");
    }
    debug::exit(debug::EXIT_FAILURE);
    loop {
        black_box(());
    }
}
