//! How deep the stack gets: it is painted below the present depth, and looked at later.
//!
//! What is told is bytes below the executor's loop. The future of the whole firmware, with all buffers, lies above and is not
//! counted.

use core::sync::atomic::{AtomicU32, Ordering};

use qemu_board::say;

const PAINT: u32 = 0x5AFE_57AC;
/// Bytes below the present depth that are left alone: the frames of the painting itself, and of an interrupt in it.
const CLEARANCE: usize = 512;
/// Most bytes painted; the stack has more room than that.
const DEPTH_MAX: usize = 0x4_0000;

static BASE: AtomicU32 = AtomicU32::new(0);

/// Where the stack ends now.
fn depth() -> usize {
    cortex_m::register::msp::read() as usize & !3
}

/// What is counted begins at the present depth.
pub(crate) fn begin() {
    BASE.store(depth() as u32, Ordering::Relaxed);
    paint();
}

/// Paints what lies below the present depth.
#[inline(never)]
pub(crate) fn paint() {
    let top = depth() - CLEARANCE;
    let bottom = BASE.load(Ordering::Relaxed) as usize - DEPTH_MAX;
    let mut place = bottom;
    while place < top {
        // SAFETY: RAM between the variables (memory.x leaves 4 MiB, of which they take a fraction) and the stack pointer, with
        // room left for interrupts; nobody uses it.
        unsafe { (place as *mut u32).write_volatile(PAINT) };
        place += 4;
    }
}

/// Bytes of stack used below the base since the last [`paint`].
fn peak() -> usize {
    let base = BASE.load(Ordering::Relaxed) as usize;
    let mut place = base - DEPTH_MAX;
    // SAFETY: as in `paint`; the range is RAM.
    while place < base && unsafe { (place as *const u32).read_volatile() } == PAINT {
        place += 4;
    }
    base - place
}

/// Tells the host what `work` needed since the last [`paint`].
pub(crate) fn tell(work: &str) {
    say!("@ stack {work}={}", peak());
}
