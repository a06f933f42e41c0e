//! Frames of a chip that says what it should not, or of a neighbour that sends what does not fit: they are lost, and nothing else.

use embassy_futures::select::{Either, select};
use ota_psoc6::wifi::{Broken, Health, cyw43};

use crate::{
    frames::{answer, ethernet, event, request},
    network::{firmware, receive, run, transmit, until},
    upload::{clm, sim},
};

/// Each frame is pushed, then a good one: the driver is still there and receives it. Whether the frame was lost.
fn survived(frames: impl IntoIterator<Item = (String, Vec<u8>)>) -> Vec<(String, bool)> {
    let (sim, health) = (sim(), Health::new());
    run(&sim, &health, async |mut device, _| {
        let mut lost = Vec::new();
        for (name, frame) in frames {
            println!("{name}");
            let before = health.lost_count();
            sim.state.borrow_mut().card.chip.push_frame(frame);
            sim.state.borrow_mut().card.chip.push_frame(ethernet(&[9; 60]));
            until_good(&mut device, &name).await;
            sim.state.borrow_mut().card.chip.received.clear();
            transmit(&mut device, &[3; 60]).await;
            until(|| !sim.state.borrow().card.chip.received.is_empty()).await;
            lost.push((name, health.lost_count() > before));
        }
        lost
    })
    .unwrap()
}

async fn until_good(device: &mut cyw43::NetDriver<'_>, name: &str) {
    for _ in 0..3 {
        if receive(device).await[..] == [9; 60] {
            return;
        }
    }
    panic!("{name}: something else is received");
}

fn with(mut frame: Vec<u8>, changed: &[(usize, u8)]) -> Vec<u8> {
    for (at, byte) in changed {
        frame[*at] = *byte;
    }
    frame
}

#[test]
fn a_frame_the_driver_would_fall_over_is_lost() {
    let control = |data_len: u32| {
        let mut frame = ethernet(&[0; 60]);
        frame[5] = 0;
        frame[12 + 4..12 + 8].copy_from_slice(&data_len.to_le_bytes());
        frame
    };
    let bad = [
        ("a packet one byte too long", ethernet(&[1; 1515])),
        ("a packet with a tag of a virtual network", ethernet(&[1; 1518])),
        ("a frame larger than every buffer", ethernet(&[1; 2100])),
        ("a frame as large as can be said", ethernet(&vec![1; 65_000])),
        ("no header", with(ethernet(&[1; 60]), &[(7, 0)])),
        ("a short header", with(ethernet(&[1; 60]), &[(7, 10)])),
        ("a header on an odd byte", with(event(0, 0, 0), &[(7, 13)])),
        ("a header behind the end", with(ethernet(&[1; 60]), &[(7, 254)])),
        ("an event with the same", with(event(0, 0, 0), &[(7, 254)])),
        ("an answer longer than its frame", control(61)),
        ("an answer as long as can be said", control(u32::MAX)),
    ];
    let good = [
        ("the longest packet", ethernet(&[1; 1514])),
        ("a packet behind more than its header", with(ethernet(&[1; 1518]), &[(12 + 3, 1)])),
        ("an answer nobody asked for", control(40)),
        ("a frame without anything", vec![12, 0, 0xF3, 0xFF, 0, 2, 0, 12, 0, 0, 0, 0]),
        ("a frame shorter than a header", vec![6, 0, 0xF9, 0xFF, 0, 2]),
    ];
    for (frames, expected) in [(&bad[..], true), (&good[..], false)] {
        for (name, lost) in survived(frames.iter().map(|(name, frame)| (name.to_string(), frame.clone()))) {
            assert_eq!(lost, expected, "{name}");
        }
    }
}

/// The driver has names for some events, and an index out of bounds for the others.
#[test]
fn every_event_is_survived() {
    let events = (0..=255).map(|number| (format!("event {number}"), event(number, 0, 0)));
    let lost = survived(events).iter().filter(|(_, lost)| *lost).count();
    assert_eq!(lost, 256 - 191 + UNNAMED);
}

/// Events up to 190 without a name.
const UNNAMED: usize = 3 + 4 + 4 + 35;

/// An answer with so many bytes of data, whatever was asked.
fn answer_of(frame: &[u8], data_len: impl Fn(usize) -> usize, status: i32) -> Vec<u8> {
    let mut answer = answer(frame, status);
    let len = data_len(answer.len() - 28);
    answer.resize(28 + len, 0);
    let total = answer.len() as u16;
    answer[..2].copy_from_slice(&total.to_le_bytes());
    answer[2..4].copy_from_slice(&(!total).to_le_bytes());
    answer[12 + 4..12 + 8].copy_from_slice(&(len as u32).to_le_bytes());
    answer
}

fn asks(frame: &[u8], name: &[u8]) -> bool {
    request(frame).is_some_and(|(_, data)| data.starts_with(name))
}

/// The driver copies an answer into the buffer of its question, and asserts that some are long enough.
#[test]
fn an_answer_of_another_length_is_lost() {
    fn long(frame: &[u8]) -> Vec<Vec<u8>> {
        request(frame).map(|_| answer_of(frame, |len| len + 8, 0)).into_iter().collect()
    }
    fn short_status(frame: &[u8]) -> Vec<Vec<u8>> {
        let short = |len| if asks(frame, b"clmload_status\0") { 3 } else { len };
        request(frame).map(|_| answer_of(frame, short, 0)).into_iter().collect()
    }
    fn short_address(frame: &[u8]) -> Vec<Vec<u8>> {
        let is_it = asks(frame, b"cur_etheraddr\0");
        // Refused or not.
        let (len, status) = (move |len| if is_it { 5 } else { len }, if is_it { -23 } else { 0 });
        request(frame).map(|_| answer_of(frame, len, status)).into_iter().collect()
    }
    for answer in [long as fn(&[u8]) -> _, short_status, short_address] {
        let (sim, health) = (sim(), Health::new());
        firmware(&sim, answer);
        run(&sim, &health, async |_, mut control| {
            match select(until(|| health.lost_count() == 1), control.init(clm())).await {
                Either::First(()) => {}
                Either::Second(()) => panic!("the answer was taken"),
            }
        })
        .unwrap();
    }
}

/// A refusal without data is one all the same.
#[test]
fn a_refusal_needs_no_data() {
    fn refuse(frame: &[u8]) -> Vec<Vec<u8>> {
        let is_it = asks(frame, b"clmload_status\0");
        let (len, status) = (move |len| if is_it { 0 } else { len }, if is_it { -23 } else { 0 });
        request(frame).map(|_| answer_of(frame, len, status)).into_iter().collect()
    }
    let (sim, health) = (sim(), Health::new());
    firmware(&sim, refuse);
    let result = run(&sim, &health, async |_, mut control| control.init(clm()).await);
    assert_eq!(result, Err(Broken::Regulatory(-23)));
}

/// Bytes of frames changed at random; `OTA_SEED` repeats one case.
#[test]
fn no_frame_ends_the_driver() {
    let only = std::env::var("OTA_SEED").ok().map(|seed| seed.parse::<u64>().expect("a number"));
    let seeds = only.map_or(0..400, |seed| seed..seed + 1);
    survived(seeds.map(|seed| (format!("seed {seed}"), changed(seed))));
}

fn changed(seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut random = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 20) as usize % below
    };
    let mut frame = match random(3) {
        0 => event(random(50) as u32, random(10) as u32, random(20) as u32),
        1 => ethernet(&vec![5; 14 + random(1600)]),
        _ => with(ethernet(&vec![6; 30 + random(300)]), &[(5, 0)]),
    };
    for _ in 0..1 + random(4) {
        // Not the length: without it there is no end to the frame.
        let at = 4 + random(frame.len().min(60) - 4);
        frame[at] = random(256) as u8;
    }
    frame
}
