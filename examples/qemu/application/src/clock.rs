//! Time from SysTick, and an executor of one task that sleeps between interrupts.
//!
//! Timers need no queue: with the task every timer in it is polled, and says again when it is due, so the earliest is enough.

use core::cell::Cell;
use core::pin::pin;
use core::sync::atomic::{AtomicBool, Ordering};
use core::task::{Context, Poll, RawWaker, RawWakerVTable, Waker};

use cortex_m::interrupt::{self, InterruptNumber, Mutex};
use cortex_m::peripheral::syst::SystClkSource;
use cortex_m::peripheral::{NVIC, SYST};
use cortex_m_rt::exception;
use embassy_time_driver::Driver;

/// Ticks of the processor's clock in a millisecond: 25 MHz.
const TICKS_PER_MS: u32 = 25_000;
/// Instructions a tick of this clock stands for under QEMU's `-icount shift=0`: 40 ns, one ns each.
pub(crate) const INSTRUCTIONS_PER_TICK: u64 = 40;

static NOW_MS: Mutex<Cell<u64>> = Mutex::new(Cell::new(0));
/// When the next timer is due.
static NEXT_MS: Mutex<Cell<u64>> = Mutex::new(Cell::new(u64::MAX));
/// Something happened that a task may wait for.
static WOKEN: AtomicBool = AtomicBool::new(true);

struct Clock;

embassy_time_driver::time_driver_impl!(static CLOCK: Clock = Clock);

impl Driver for Clock {
    fn now(&self) -> u64 {
        interrupt::free(|token| NOW_MS.borrow(token).get())
    }

    fn schedule_wake(&self, at: u64, _: &Waker) {
        interrupt::free(|token| {
            let next = NEXT_MS.borrow(token);
            next.set(next.get().min(at));
        });
    }
}

/// The interrupt of the Ethernet controller.
#[derive(Clone, Copy)]
struct Frame;

impl Frame {
    const NUMBER: u16 = 13;
}

// SAFETY: 13 is the number of this interrupt on the board and lies below the chip's count.
unsafe impl InterruptNumber for Frame {
    fn number(self) -> u16 {
        Self::NUMBER
    }
}

/// Starts the clock.
pub(crate) fn start(mut systick: SYST) {
    systick.set_clock_source(SystClkSource::Core);
    systick.set_reload(TICKS_PER_MS - 1);
    systick.clear_current();
    systick.enable_counter();
    systick.enable_interrupt();
}

/// Ticks of the processor's clock since [`start`].
pub(crate) fn ticks() -> u64 {
    interrupt::free(|token| {
        let left = SYST::get_current();
        // A tick that fell due behind the mask is not counted yet.
        let due = cortex_m::peripheral::SCB::is_pendst_pending();
        let left = if due { SYST::get_current() } else { left };
        let ms = NOW_MS.borrow(token).get() + u64::from(due);
        ms * u64::from(TICKS_PER_MS) + u64::from(TICKS_PER_MS - 1 - left.min(TICKS_PER_MS - 1))
    })
}

#[exception]
fn SysTick() {
    interrupt::free(|token| {
        let now = NOW_MS.borrow(token);
        now.set(now.get() + 1);
        let next = NEXT_MS.borrow(token);
        if next.get() <= now.get() {
            next.set(u64::MAX);
            wake();
        }
    });
}

// SAFETY: as an exception handler it may interrupt anything; it touches an atomic and the interrupt controller only.
#[exception]
unsafe fn DefaultHandler(number: i16) {
    assert!(number == Frame::NUMBER as i16, "interrupt {number} was never switched on");
    // The controller goes on asking until the frame is fetched, which is the task's business.
    NVIC::mask(Frame);
    WOKEN.store(true, Ordering::Relaxed);
}

static VTABLE: RawWakerVTable = RawWakerVTable::new(|_| waker(), |_| wake(), |_| wake(), |_| ());

const fn waker() -> RawWaker {
    RawWaker::new(core::ptr::null(), &VTABLE)
}

fn wake() {
    WOKEN.store(true, Ordering::Relaxed);
}

/// Runs one future to its end.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    // SAFETY: the functions of the table never look at the pointer, and wake by an atomic.
    let waker = unsafe { Waker::from_raw(waker()) };
    let mut context = Context::from_waker(&waker);
    loop {
        WOKEN.store(false, Ordering::Relaxed);
        if let Poll::Ready(result) = future.as_mut().poll(&mut context) {
            return result;
        }
        // SAFETY: the interrupt's handler shares nothing with anybody but by atomics.
        unsafe { NVIC::unmask(Frame) };
        // An interrupt between the look and the sleep ends the sleep at once, since it stays pending.
        interrupt::free(|_| {
            if !WOKEN.load(Ordering::Relaxed) {
                cortex_m::asm::wfi();
            }
        });
    }
}
