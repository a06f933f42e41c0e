//! CMD52 and CMD53, bytes and blocks, their faults, and futures that are dropped.

use std::{
    future::Future,
    pin::pin,
    task::{Context, Poll, Waker},
};

use embassy_futures::block_on;
use ota_psoc6::sdhc::{Card as Enumerated, Data, Error, Kind};

use crate::{
    card::Card,
    chip::Chip,
    controller::{Delay, Sim},
    fault::{Fault, OF_COMMANDS, OF_TRANSFERS, Plan},
};

type Open<'a> = Enumerated<'a, &'a Sim, Delay<'a>>;

const WRITE: u32 = 1 << 31;
const FUNCTION_1: u32 = 1 << 28;
const BLOCKS: u32 = 1 << 27;
const INCREMENT: u32 = 1 << 26;

fn sim() -> Sim {
    Sim::new(Card::new(Chip::new(43430)))
}

/// A card whose memory can be written, on four lines at 25 MHz.
async fn open(sim: &Sim) -> Open<'_> {
    let mut host = sim.host();
    host.start().await.unwrap();
    let Ok(mut card) = Enumerated::enumerate(host).await else { panic!("no card") };
    for (function, at, value) in [
        (0, 0x02, 0b110),
        (0, 0x07, 0b10),
        (0, 0x110, 64),
        (0, 0x210, 64),
        (1, 0x1_000A, 0x00),
        (1, 0x1_000B, 0x10),
        (1, 0x1_000C, 0x18),
    ] {
        card.cmd52(WRITE | function << 28 | at << 9 | value).await.unwrap();
    }
    card.host().set_four_bit(false);
    card.host().set_clock(25_000_000).unwrap();
    // The ARM core into reset, the memory's last bank not remapped.
    card.cmd53(WRITE | FUNCTION_1 | INCREMENT | 0x3800 << 9 | 4, Data::Write(&[1, 0, 0, 0], 4))
        .await
        .unwrap();
    window(&mut card, 0x1800_0000).await;
    card.cmd53(WRITE | FUNCTION_1 | INCREMENT | 0x4010 << 9 | 4, Data::Write(&[3, 0, 0, 0], 4))
        .await
        .unwrap();
    card.cmd53(WRITE | FUNCTION_1 | INCREMENT | 0x4044 << 9 | 4, Data::Write(&[0; 4], 4)).await.unwrap();
    window(&mut card, 0).await;
    card
}

async fn window(card: &mut Open<'_>, base: u32) {
    for (at, byte) in [0x1_000A, 0x1_000B, 0x1_000C].into_iter().zip(&base.to_le_bytes()[1..]) {
        card.cmd52(WRITE | FUNCTION_1 | at << 9 | u32::from(*byte)).await.unwrap();
    }
}

fn argument(write: bool, at: u32, len: usize, block: bool) -> u32 {
    let count = if block { len / 64 } else { len } as u32 & 0x1FF;
    let flags = if write { WRITE } else { 0 } | if block { BLOCKS } else { 0 };
    flags | FUNCTION_1 | INCREMENT | at << 9 | count
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 7 + i / 251) as u8).collect()
}

#[test]
fn every_length_of_bytes_and_blocks_arrives_whole() {
    let sim = sim();
    block_on(async {
        let mut card = open(&sim).await;
        let lens = (1..=130).map(|len| (len, false)).chain([(511, false), (512, false)]);
        for (len, block) in lens.chain((1..=16).map(|count| (64 * count, true))) {
            let size = if block { 64 } else { len as u16 };
            let data = pattern(len);
            card.cmd53(argument(true, 0x100, len, block), Data::Write(&data, size)).await.unwrap();
            assert_eq!(
                sim.state.borrow().card.chip.ram[0x100..][..len],
                data,
                "{len} bytes, blocks: {block}"
            );
            let mut back = vec![0; len];
            card.cmd53(argument(false, 0x100, len, block), Data::Read(&mut back, size)).await.unwrap();
            assert_eq!(back, data, "{len} bytes, blocks: {block}");
        }
    });
}

#[test]
fn the_clock_is_never_faster_than_asked_for() {
    let sim = sim();
    block_on(async {
        let mut host = sim.host();
        host.start().await.unwrap();
        for (hz, real) in [
            (400_000, 400_000),
            (25_000_000, 25_000_000),
            (50_000_000, 50_000_000),
            (30_000_000, 25_000_000),
            (99_999_999, 50_000_000),
            (48_876, 48_875),
            (1, 48_875),
        ] {
            host.set_clock(hz).unwrap();
            assert_eq!(sim.state.borrow().card_hz(), Some(real), "{hz} Hz");
        }
    });
}

#[test]
fn a_fault_is_named_and_the_next_command_works() {
    let name = |fault| match fault {
        Fault::NoResponse => Kind::NoResponse,
        Fault::ResponseCrc => Kind::ResponseCrc,
        Fault::ResponseEnd => Kind::ResponseEnd,
        Fault::ResponseIndex => Kind::ResponseIndex,
        Fault::Refused => Kind::Refused(0x08),
        Fault::Silent | Fault::LinesBusy => Kind::Timeout,
        Fault::DataTimeout => Kind::DataTimeout,
        Fault::DataCrc => Kind::DataCrc,
        Fault::DataEnd => Kind::DataEnd,
    };
    for fault in OF_COMMANDS.into_iter().chain([Fault::LinesBusy, Fault::Refused]) {
        let sim = sim();
        block_on(async {
            let mut card = open(&sim).await;
            sim.plan(Plan::once(fault, sim.command_count()));
            let error = Error { command: 52, kind: name(fault) };
            assert_eq!(card.cmd52(FUNCTION_1 | 0x1_0008 << 9).await, Err(error));
            assert_eq!(card.cmd52(FUNCTION_1 | 0x1_0008 << 9).await, Ok(0));
        });
    }
    for fault in OF_TRANSFERS.into_iter().chain([Fault::LinesBusy, Fault::Refused]) {
        for write in [true, false] {
            for block in [true, false] {
                let sim = sim();
                block_on(async {
                    let mut card = open(&sim).await;
                    sim.plan(Plan::once(fault, sim.command_count()));
                    let mut buffer = pattern(192);
                    let size = if block { 64 } else { 192 };
                    for attempt in 0..2 {
                        let data =
                            if write { Data::Write(&buffer, size) } else { Data::Read(&mut buffer, size) };
                        let result = card.cmd53(argument(write, 0, 192, block), data).await;
                        match attempt {
                            0 => assert_eq!(result, Err(Error { command: 53, kind: name(fault) })),
                            _ => assert_eq!(result, Ok(0), "after {fault:?}"),
                        }
                    }
                    assert_eq!(
                        sim.state.borrow().card.aborts,
                        [1],
                        "{fault:?}: the card was not told to stop"
                    );
                });
            }
        }
    }
}

#[test]
fn a_card_on_other_lines_than_the_controller_is_noticed() {
    let sim = sim();
    block_on(async {
        let mut card = open(&sim).await;
        card.cmd52(WRITE | 0x07 << 9).await.unwrap();
        let result = card.cmd53(argument(false, 0, 64, true), Data::Read(&mut [0; 64], 64)).await;
        assert_eq!(result, Err(Error { command: 53, kind: Kind::DataCrc }));
    });
}

/// Polls a future `count` times and drops it. Returns whether it was over by then.
fn poll_and_drop(future: impl Future, count: usize) -> bool {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    (0..count).any(|_| matches!(future.as_mut().poll(&mut context), Poll::Ready(_)))
}

#[test]
fn a_dropped_transfer_is_stopped_by_the_next_command() {
    let data = pattern(256);
    for count in 1.. {
        let sim = sim();
        let done = block_on(async {
            let mut card = open(&sim).await;
            // Slow enough for a pause at every wait, and without the interrupt nothing but time helps.
            sim.connected.set(false);
            sim.state.borrow_mut().latency = 10_000;
            let done = poll_and_drop(card.cmd53(argument(true, 0, 256, true), Data::Write(&data, 64)), count);
            sim.state.borrow_mut().latency = 3;
            assert_eq!(card.cmd52(FUNCTION_1 | 0x1_0008 << 9).await, Ok(0), "after {count} polls");
            assert_eq!(sim.state.borrow().card.aborts.is_empty(), done, "after {count} polls");
            card.cmd53(argument(true, 0, 256, true), Data::Write(&data, 64)).await.unwrap();
            done
        });
        assert_eq!(sim.state.borrow().card.chip.ram[..256], data);
        if done {
            assert!(count > 5, "the future was dropped in {count} places only");
            break;
        }
    }
}

#[test]
fn the_cards_interrupt_wakes_and_is_not_lost() {
    for connected in [true, false] {
        let sim = sim();
        sim.connected.set(connected);
        block_on(async {
            let mut card = open(&sim).await;
            card.cmd52(WRITE | 0x04 << 9 | 0b101).await.unwrap();
            assert!(!card.host().wait_card_interrupt(50).await);
            sim.state.borrow_mut().card.chip.push_frame(vec![8, 0, 0xF7, 0xFF, 1, 2, 3, 4]);
            assert!(card.host().wait_card_interrupt(50).await);
            // It stays until it is served.
            assert!(card.host().wait_card_interrupt(50).await);
            let mut frame = [0; 8];
            card.cmd53(2 << 28 | INCREMENT | 8, Data::Read(&mut frame, 8)).await.unwrap();
            assert_eq!(frame[4..], [1, 2, 3, 4]);
            assert!(!card.host().wait_card_interrupt(50).await);
        });
    }
}
