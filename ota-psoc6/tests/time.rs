//! The clock of embassy-time on a model of the counter: register by register, through turns of the counter and masked
//! interrupts.

use std::{
    cell::RefCell,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    task::{Wake, Waker},
};

use ota_psoc6::{
    bus::Bus,
    time::{Clock, Driver},
};

const CNT: u32 = 0x4038_0100;
const TURN: u64 = 1 << 32;

/// Counter 0 of TCPWM0 and the divider before it.
#[derive(Default)]
struct Counter {
    value: u32,
    compare: u32,
    period: u32,
    count_selected: bool,
    enabled: bool,
    running: bool,
    request: u32,
    mask: u32,
    divider: u32,
    divided: bool,
    routed: bool,
    /// Ticks that pass with each access.
    per_access: u64,
}

impl Counter {
    fn pass(&mut self, ticks: u64) {
        if !(self.running && self.divided && self.routed && self.count_selected) {
            return;
        }
        assert_eq!(self.period, u32::MAX, "the counter turns early");
        let ahead = u64::from(self.compare.wrapping_sub(self.value));
        let ahead = if ahead == 0 { TURN } else { ahead };
        if ticks >= ahead {
            self.request |= 2;
        }
        self.value = (u64::from(self.value) + ticks) as u32;
    }
}

thread_local! {
    static COUNTER: RefCell<Counter> = RefCell::new(Counter::default());
}

/// The test's own counter, as a bus that may be anywhere in it.
#[derive(Clone, Copy, Debug)]
struct Chip;

impl Bus for Chip {
    fn read8(self, address: u32) -> u8 {
        panic!("read of a byte at {address:#x}")
    }
    fn read16(self, address: u32) -> u16 {
        panic!("read of a half-word at {address:#x}")
    }
    fn read32(self, address: u32) -> u32 {
        COUNTER.with_borrow_mut(|counter| {
            counter.pass(counter.per_access);
            match address {
                _ if address == CNT + 0x08 => counter.value,
                _ if address == CNT + 0x30 => counter.request,
                _ => panic!("read at {address:#x}"),
            }
        })
    }
    fn write8(self, address: u32, _: u8) {
        panic!("write of a byte at {address:#x}")
    }
    fn write16(self, address: u32, _: u16) {
        panic!("write of a half-word at {address:#x}")
    }
    fn write32(self, address: u32, value: u32) {
        COUNTER.with_borrow_mut(|counter| {
            counter.pass(counter.per_access);
            match address {
                0x4000_0400 if value >> 30 == 0b01 => counter.divided = false,
                0x4000_0400 => {
                    assert_eq!(value, 0x83FF_0100, "enable divider 0 of 16 bits, aligned to none");
                    counter.divided = true;
                }
                0x4000_1400 => {
                    assert!(!counter.divided, "the divider changes while it runs");
                    counter.divider = (value >> 8) + 1;
                }
                0x4000_0C3C => counter.routed = value == 0x100,
                0x4038_0004 if value == 1 => (counter.enabled, counter.running) = (false, false),
                0x4038_0008 if value == 1 => counter.enabled = true,
                0x4038_0018 if value == 1 => counter.running = counter.enabled,
                _ if address == CNT => assert_eq!((value, counter.enabled), (0, false)),
                _ if address == CNT + 0x08 => counter.value = value,
                _ if address == CNT + 0x0C => counter.compare = value,
                _ if address == CNT + 0x14 => counter.period = value,
                _ if address == CNT + 0x20 => counter.count_selected = value == 0x10,
                _ if address == CNT + 0x24 => assert_eq!(value, 0x3FF),
                _ if address == CNT + 0x30 => counter.request &= !value,
                _ if address == CNT + 0x38 => counter.mask = value,
                _ => panic!("write of {value:#x} at {address:#x}"),
            }
        });
    }
}

fn pass(ticks: u64) {
    COUNTER.with_borrow_mut(|counter| counter.pass(ticks));
}

/// The interrupt, if it is requested and not masked at the processor.
fn interrupt(driver: &Driver<Chip>) -> bool {
    let requested = COUNTER.with_borrow(|counter| counter.request & counter.mask != 0);
    if requested {
        driver.on_interrupt();
    }
    requested
}

#[derive(Default)]
struct Woken(AtomicU32);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Relaxed);
    }
}

fn waker() -> (Arc<Woken>, Waker) {
    let woken = Arc::new(Woken::default());
    (Arc::clone(&woken), Waker::from(woken))
}

fn started() -> Driver<Chip> {
    let driver = Driver::new();
    driver.start(Clock::start(Chip, 100));
    driver
}

#[test]
fn it_counts_a_divided_clock() {
    let driver = started();
    assert_eq!(COUNTER.with_borrow(|counter| counter.divider), 100);
    pass(1_000_000);
    assert_eq!(driver.ticks(), 1_000_000);
}

#[test]
fn before_its_start_it_stands_still() {
    let driver = Driver::<Chip>::new();
    let (woken, waker) = waker();
    assert_eq!(driver.ticks(), 0);
    driver.wake_at(5, &waker);
    driver.on_interrupt();
    assert_eq!(woken.0.load(Relaxed), 0);
    driver.start(Clock::start(Chip, 1));
    pass(5);
    assert!(interrupt(&driver));
    assert_eq!(woken.0.load(Relaxed), 1);
}

#[test]
fn turns_of_the_counter_are_counted_without_anybody_asking() {
    let driver = started();
    let mut time = 0;
    // Ten turns in uneven steps; nobody looks but the handler.
    while time < 10 * TURN {
        pass(99_999_989);
        time += 99_999_989;
        interrupt(&driver);
    }
    assert_eq!(driver.ticks(), time);
}

#[test]
fn masked_interrupts_lose_nothing() {
    let driver = started();
    let (woken, waker) = waker();
    let mut time = 0;
    for round in 0..1_000_u32 {
        let at = time + 1_000 + u64::from(round % 700) * 31;
        driver.wake_at(at, &waker);
        // A flash operation: 20 ms in which no handler runs.
        pass(20_000);
        time += 20_000;
        assert_eq!(driver.ticks(), time);
        let due = at <= time;
        assert_eq!(interrupt(&driver), due, "round {round}");
        if !due {
            pass(at - time);
            time = at;
            assert!(interrupt(&driver), "round {round}");
        }
        assert_eq!(woken.0.load(Relaxed), round + 1);
    }
    // Even right before a turn, and a turn that passes while masked.
    pass(TURN - 10 - time % TURN);
    interrupt(&driver);
    let before = driver.ticks();
    pass(20_000);
    assert_eq!(driver.ticks(), before + 20_000);
}

#[test]
fn an_alarm_that_passes_while_it_is_set_is_not_lost() {
    let driver = started();
    // Every access takes three ticks, so alarms a few ticks ahead pass in the middle of being set.
    COUNTER.with_borrow_mut(|counter| counter.per_access = 3);
    for ahead in 0..40 {
        let (woken, waker) = waker();
        let at = driver.ticks() + ahead;
        driver.wake_at(at, &waker);
        pass(100);
        interrupt(&driver);
        assert_eq!(woken.0.load(Relaxed), 1, "{ahead} ticks ahead");
    }
}

#[test]
fn the_earliest_of_several_alarms_rings_first() {
    let driver = started();
    let alarms: Vec<_> = [700_u64, 300, 900, 5 * TURN].map(|at| (at, waker())).into();
    for (at, (_, waker)) in &alarms {
        driver.wake_at(*at, waker);
    }
    let mut time = 0;
    for now in [299, 300, 699, 700, 900, TURN, 3 * TURN, 5 * TURN - 1, 5 * TURN] {
        // Half a turn at a time at the most, as the handler sees it.
        while time < now {
            let step = (now - time).min(TURN / 2);
            pass(step);
            time += step;
            interrupt(&driver);
        }
        for (at, (woken, _)) in &alarms {
            assert_eq!(woken.0.load(Relaxed), u32::from(*at <= now), "alarm at {at}, time {now}");
        }
    }
}
