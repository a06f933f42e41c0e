//! The driver running: requests and answers, frames of every length, joining, and a bus that goes bad meanwhile.

use embassy_futures::{
    block_on,
    select::{Either3, select3},
};
use embassy_net_driver::{Driver, RxToken, TxToken};
use ota_psoc6::wifi::{Broken, Health, JoinError, cyw43, join, power_up, start};

use crate::{
    controller::{Delay, Sim},
    fault::{Fault, Plan},
    frames::{answer, ethernet, event, request},
    upload::{Pin, blobs, clm, sim},
};

const SET_SSID: u32 = 26;
const SET_VARIABLE: u32 = 263;

const EVENT_SET_SSID: u32 = 0;
const EVENT_AUTH: u32 = 3;
const EVENT_PSK_SUP: u32 = 46;
const SUCCESS: u32 = 0;
const FAIL: u32 = 1;
const NO_NETWORKS: u32 = 3;
const UNSOLICITED: u32 = 6;

/// The driver is started and runs while `scenario` does. The error if the link breaks first.
pub(crate) fn run<R>(
    sim: &Sim,
    health: &Health,
    scenario: impl AsyncFnOnce(cyw43::NetDriver<'_>, cyw43::Control<'_>) -> R,
) -> Result<R, Broken> {
    block_on(async {
        let mut state = cyw43::State::new();
        let card = power_up(&mut Pin, Delay(sim), sim.host()).await.unwrap();
        let (device, control, runner) = start(&mut state, card, &blobs(), health).await.unwrap();
        match select3(scenario(device, control), runner.run(), health.broken()).await {
            Either3::First(result) => Ok(result),
            Either3::Second(never) => never,
            Either3::Third(broken) => Err(broken),
        }
    })
}

pub(crate) fn firmware(sim: &Sim, answer: fn(&[u8]) -> Vec<Vec<u8>>) {
    sim.state.borrow_mut().card.chip.answer = answer;
}

fn willing(frame: &[u8]) -> Vec<Vec<u8>> {
    request(frame).map(|_| answer(frame, 0)).into_iter().collect()
}

/// Answers the wish to join with events.
fn with_events(frame: &[u8], events: &[(u32, u32, u32)]) -> Vec<Vec<u8>> {
    let mut frames = willing(frame);
    if matches!(request(frame), Some((SET_SSID, _))) {
        frames.extend(events.iter().map(|(number, status, reason)| event(*number, *status, *reason)));
    }
    frames
}

pub(crate) async fn receive(device: &mut cyw43::NetDriver<'_>) -> Vec<u8> {
    std::future::poll_fn(|context| match device.receive(context) {
        Some((token, _)) => std::task::Poll::Ready(token.consume(|packet| packet.to_vec())),
        None => std::task::Poll::Pending,
    })
    .await
}

pub(crate) async fn transmit(device: &mut cyw43::NetDriver<'_>, packet: &[u8]) {
    std::future::poll_fn(|context| match device.transmit(context) {
        Some(token) => {
            token.consume(packet.len(), |buffer| buffer.copy_from_slice(packet));
            std::task::Poll::Ready(())
        }
        None => std::task::Poll::Pending,
    })
    .await;
}

pub(crate) async fn until(mut done: impl FnMut() -> bool) {
    while !done() {
        embassy_futures::yield_now().await;
    }
}

#[test]
fn the_regulatory_data_arrives_byte_for_byte() {
    let (sim, health) = (sim(), Health::new());
    firmware(&sim, willing);
    run(&sim, &health, async |_, mut control| control.init(clm()).await).unwrap();
    let state = sim.state.borrow();
    let mut loaded = Vec::new();
    for frame in &state.card.chip.received {
        let Some((SET_VARIABLE, data)) = request(frame) else { continue };
        if let Some(part) = data.strip_prefix(b"clmload\0") {
            let len = u32::from_le_bytes(part[4..8].try_into().unwrap()) as usize;
            loaded.extend_from_slice(&part[12..][..len]);
        }
    }
    assert!(loaded == clm(), "{} of {} bytes", loaded.len(), clm().len());
    assert_eq!(health.refused_count(), 0);
}

#[test]
fn a_frame_of_every_length_goes_both_ways() {
    let (sim, health) = (sim(), Health::new());
    run(&sim, &health, async |mut device, _| {
        for len in (14..=1500).filter(|len| *len < 300 || len % 7 == 0) {
            let packet: Vec<u8> = (0..len).map(|i| (i * 3 + len) as u8).collect();
            sim.state.borrow_mut().card.chip.push_frame(ethernet(&packet));
            let received = receive(&mut device).await;
            assert_eq!(received[..len], packet, "{len} bytes");
            assert!(received.len() - len <= 3 && received[len..].iter().all(|byte| *byte == 0));

            sim.state.borrow_mut().card.chip.received.clear();
            transmit(&mut device, &packet).await;
            until(|| !sim.state.borrow().card.chip.received.is_empty()).await;
            let state = sim.state.borrow();
            let sent = &state.card.chip.received[0];
            assert_eq!(sent[usize::from(sent[7]) + 4..][..len], packet, "{len} bytes");
        }
    })
    .unwrap();
    assert_eq!(health.lost_count(), 0);
}

#[test]
fn a_frame_lost_on_the_bus_costs_that_frame() {
    for fault in [Fault::DataCrc, Fault::NoResponse, Fault::Silent] {
        for len in [20, 200] {
            let (sim, health) = (sim(), Health::new());
            run(&sim, &health, async |mut device, _| {
                let frame = |value| ethernet(&vec![value; len]);
                // The tag of a frame comes alone; the next transfer is the first part of its rest.
                for (lost, not_tags) in [(1, false), (2, true)] {
                    sim.state.borrow_mut().card.chip.push_frame(frame(1));
                    let at = sim.command_count();
                    sim.plan(Plan { function: Some(2), not_tags, ..Plan::once(fault, at) });
                    until(|| health.lost_count() == lost).await;
                    sim.state.borrow_mut().card.chip.push_frame(frame(2));
                    assert_eq!(receive(&mut device).await[..len], vec![2; len], "{fault:?}, {len} bytes");
                }

                let at = sim.command_count();
                sim.plan(Plan { function: Some(2), write: Some(true), ..Plan::once(fault, at) });
                transmit(&mut device, &vec![3; len]).await;
                until(|| health.lost_count() == 3).await;
                transmit(&mut device, &vec![4; len]).await;
                until(|| !sim.state.borrow().card.chip.received.is_empty()).await;
                let state = sim.state.borrow();
                let sent = &state.card.chip.received[0];
                assert_eq!(sent[usize::from(sent[7]) + 4..][..len], vec![4; len], "{fault:?}, {len} bytes");
            })
            .unwrap();
        }
    }
}

/// More of them than break the link in a row, but each with a good one behind it.
#[test]
fn frames_lost_now_and_then_do_not_break_the_link() {
    let (sim, health) = (sim(), Health::new());
    run(&sim, &health, async |mut device, _| {
        for lost in 1..=20 {
            let at = sim.command_count();
            sim.plan(Plan { function: Some(2), ..Plan::once(Fault::DataCrc, at) });
            until(|| health.lost_count() == lost).await;
            sim.state.borrow_mut().card.chip.push_frame(ethernet(&[2; 20]));
            assert_eq!(receive(&mut device).await[..20], [2; 20]);
        }
    })
    .unwrap();
}

#[test]
fn a_bus_that_stays_bad_is_named() {
    for (function, fault) in
        [(Some(2), Fault::DataCrc), (Some(1), Fault::DataTimeout), (None, Fault::NoResponse)]
    {
        let (sim, health) = (sim(), Health::new());
        let broken = run(&sim, &health, async |_, _| {
            sim.plan(Plan { function, ..Plan::from(fault, sim.command_count()) });
            std::future::pending::<()>().await
        })
        .unwrap_err();
        assert!(matches!(broken, Broken::Sdio(_)), "{broken:?}");
    }
}

#[test]
fn a_request_the_firmware_refuses_is_counted() {
    let (sim, health) = (sim(), Health::new());
    firmware(&sim, |frame| request(frame).map(|_| answer(frame, -23)).into_iter().collect());
    run(&sim, &health, async |_, mut control| {
        control.set_power_management(cyw43::PowerManagementMode::None).await
    })
    .unwrap();
    assert_eq!((health.refused_count(), health.last_refusal()), (1, -23));
}

/// The chip's verdict on the regulatory data, or its refusal to tell. The driver asserts it to be good.
#[test]
fn regulatory_data_the_chip_does_not_take_is_a_named_error() {
    fn is_status(data: &[u8]) -> bool {
        data.starts_with(b"clmload_status\0")
    }
    fn damaged(frame: &[u8]) -> Vec<Vec<u8>> {
        let Some((_, data)) = request(frame) else { return Vec::new() };
        let mut answer = answer(frame, 0);
        if is_status(data) {
            answer[12 + 16] = 6;
        }
        vec![answer]
    }
    fn unknown(frame: &[u8]) -> Vec<Vec<u8>> {
        let Some((_, data)) = request(frame) else { return Vec::new() };
        vec![answer(frame, if is_status(data) { -23 } else { 0 })]
    }
    for (answer, reason) in [(damaged as fn(&[u8]) -> _, 6), (unknown, -23)] {
        let (sim, health) = (sim(), Health::new());
        firmware(&sim, answer);
        let result = run(&sim, &health, async |_, mut control| control.init(clm()).await);
        assert_eq!(result, Err(Broken::Regulatory(reason)));
        // Switched off and on, with the right data, it works.
        let sim = self::sim();
        firmware(&sim, willing);
        run(&sim, &health, async |_, mut control| control.init(clm()).await).unwrap();
    }
}

fn joined(answer: fn(&[u8]) -> Vec<Vec<u8>>, name: &str, passphrase: &str) -> Result<(), JoinError> {
    let (sim, health) = (sim(), Health::new());
    firmware(&sim, answer);
    let attempt = async |_: cyw43::NetDriver<'_>, mut control: cyw43::Control<'_>| {
        join(&mut control, name, passphrase, 600).await
    };
    run(&sim, &health, attempt).unwrap()
}

#[test]
fn joining_ends_with_a_name() {
    let good = |frame: &[u8]| {
        with_events(
            frame,
            &[(EVENT_AUTH, SUCCESS, 0), (EVENT_SET_SSID, SUCCESS, 0), (EVENT_PSK_SUP, UNSOLICITED, 0)],
        )
    };
    assert_eq!(joined(good, "home", "passphrase"), Ok(()));
    assert_eq!(joined(good, "home", ""), Ok(()));
    let wrong = |frame: &[u8]| with_events(frame, &[(EVENT_AUTH, SUCCESS, 0), (EVENT_PSK_SUP, 8, 15)]);
    assert_eq!(joined(wrong, "home", "passphrase"), Err(JoinError::Passphrase));
    let unauthorized = |frame: &[u8]| with_events(frame, &[(EVENT_AUTH, FAIL, 0)]);
    assert_eq!(joined(unauthorized, "home", "passphrase"), Err(JoinError::Passphrase));
    let absent = |frame: &[u8]| with_events(frame, &[(EVENT_SET_SSID, NO_NETWORKS, 0)]);
    assert_eq!(joined(absent, "home", "passphrase"), Err(JoinError::NotFound));
    let other = |frame: &[u8]| with_events(frame, &[(EVENT_SET_SSID, FAIL, 0)]);
    assert_eq!(joined(other, "home", "passphrase"), Err(JoinError::Failed(1)));
    assert_eq!(joined(willing, "home", "passphrase"), Err(JoinError::Timeout));
    let long = "x".repeat(33);
    for (name, passphrase) in
        [("", "passphrase"), (&long[..], "passphrase"), ("home", "7 bytes"), ("home", &"x".repeat(64)[..])]
    {
        assert_eq!(joined(good, name, passphrase), Err(JoinError::Credentials));
    }
}
