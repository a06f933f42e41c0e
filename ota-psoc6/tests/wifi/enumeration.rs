//! CMD0, CMD5, CMD3, CMD7: in order, and with every fault in every one of them.

use embassy_futures::block_on;
use ota_psoc6::sdhc::{Card as Enumerated, ENUMERATION_TRIES, Error, Kind};

use crate::{
    card::{ADDRESS, Card},
    chip::Chip,
    controller::Sim,
    fault::{Fault, OF_COMMANDS, Plan},
};

fn sim() -> Sim {
    Sim::new(Card::new(Chip::new(43430)))
}

fn enumerate(sim: &Sim) -> Result<(u16, u8), Error> {
    block_on(async {
        let mut host = sim.host();
        host.start().await?;
        match Enumerated::enumerate(host).await {
            Ok(card) => Ok((card.address(), card.function_count())),
            Err((error, _)) => Err(error),
        }
    })
}

fn indices(sim: &Sim) -> Vec<u8> {
    sim.state.borrow().log.iter().map(|(index, _)| *index).collect()
}

#[test]
fn a_card_is_enumerated() {
    let sim = sim();
    assert_eq!(enumerate(&sim), Ok((ADDRESS, 3)));
    assert_eq!(
        sim.state.borrow().log,
        [(0, 0), (5, 0), (5, 0x00FF_8000), (3, 0), (7, u32::from(ADDRESS) << 16)]
    );
    assert_eq!(sim.state.borrow().card_hz(), Some(400_000));
}

#[test]
fn a_slow_card_is_asked_again() {
    let sim = sim();
    sim.state.borrow_mut().card.busy_count = 3;
    assert_eq!(enumerate(&sim), Ok((ADDRESS, 3)));
    assert_eq!(indices(&sim), [0, 5, 5, 0, 5, 5, 0, 5, 5, 0, 5, 5, 3, 7]);
}

#[test]
fn a_card_that_never_gets_ready_is_given_up() {
    let sim = sim();
    sim.state.borrow_mut().card.busy_count = u32::MAX;
    assert_eq!(enumerate(&sim), Err(Error { command: 5, kind: Kind::NotReady }));
}

#[test]
fn no_card_is_an_answer_within_its_bound() {
    let sim = Sim::new(Card::absent());
    assert_eq!(enumerate(&sim), Err(Error { command: 0, kind: Kind::NoResponse }));
    assert_eq!(sim.command_count() as u32, ENUMERATION_TRIES);
}

#[test]
fn one_fault_in_any_command_is_survived() {
    for fault in OF_COMMANDS.into_iter().chain([Fault::LinesBusy]) {
        for at in 0..5 {
            for connected in [true, false] {
                let sim = sim();
                sim.connected.set(connected);
                sim.plan(Plan::once(fault, at));
                assert_eq!(enumerate(&sim), Ok((ADDRESS, 3)), "{fault:?} in command {at}");
                assert!(sim.command_count() > 5, "{fault:?} in command {at} was not noticed");
                assert!(sim.state.borrow().resets >= 2, "{fault:?} in command {at}: no reset of the lines");
            }
        }
    }
}

#[test]
fn a_fault_that_stays_is_named() {
    let kinds = [
        (Fault::NoResponse, Kind::NoResponse),
        (Fault::ResponseCrc, Kind::ResponseCrc),
        (Fault::ResponseEnd, Kind::ResponseEnd),
        (Fault::ResponseIndex, Kind::ResponseIndex),
        (Fault::LinesBusy, Kind::Timeout),
    ];
    for (fault, kind) in kinds {
        for index in [0, 5, 3, 7] {
            let sim = sim();
            sim.plan(Plan { index: Some(index), ..Plan::from(fault, 0) });
            assert_eq!(enumerate(&sim), Err(Error { command: index, kind }), "{fault:?} in CMD{index}");
        }
    }
}

#[test]
fn without_its_clock_the_controller_says_so() {
    let sim = sim();
    sim.state.borrow_mut().clocked = false;
    assert_eq!(enumerate(&sim), Err(Error { command: Error::HOST, kind: Kind::ClockNotStable }));
}

#[test]
fn an_answer_later_than_the_polling_is_waited_for() {
    for connected in [true, false] {
        let sim = sim();
        sim.connected.set(connected);
        sim.state.borrow_mut().latency = 50_000;
        assert_eq!(enumerate(&sim), Ok((ADDRESS, 3)), "interrupt connected: {connected}");
        assert_eq!(sim.interrupt_count.get() > 0, connected);
        assert_eq!(indices(&sim), [0, 5, 5, 3, 7]);
    }
}
