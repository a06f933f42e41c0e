//! How deep the stack gets: it is painted below the present depth, and looked at later.
//!
//! What is told is bytes below the place where the driver's future is polled. That future and all buffers lie above, in the
//! future of the whole firmware, and are not counted.

use core::future::{Future, poll_fn};
use core::pin::Pin;
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

/// What is counted begins where this future is polled. It comes as a pointer, so that its frame is its own: inlined, it would
/// be one with that of the function around it.
pub(crate) fn counted<T>(mut future: Pin<&mut dyn Future<Output = T>>) -> impl Future<Output = T> {
    poll_fn(move |context| {
        if BASE.load(Ordering::Relaxed) == 0 {
            BASE.store(depth() as u32, Ordering::Relaxed);
            paint();
        }
        future.as_mut().poll(context)
    })
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
