//! Answers of a time server, good and hostile.

use kit_net::time::{Event, Failure, PACKET_SIZE};

use crate::world::{BUILT_AT_S, Server, TIME_S, Weather, World};

const EPOCH_S: u32 = 2_208_988_800;

/// A whole answer with the bytes given in places.
fn answer(packet: &mut [u8], unix_s: u32, changed: &[(usize, u8)]) -> Option<usize> {
    let mark: [u8; 8] = packet[40..].try_into().unwrap();
    assert_eq!(packet[0], 0x23, "client, version 4");
    packet.fill(0);
    (packet[0], packet[1]) = (0x24, 2);
    packet[24..32].copy_from_slice(&mark);
    packet[40..44].copy_from_slice(&unix_s.wrapping_add(EPOCH_S).to_be_bytes());
    for (at, byte) in changed {
        packet[*at] = *byte;
    }
    Some(PACKET_SIZE)
}

pub(crate) fn good(packet: &mut [u8]) -> Option<usize> {
    answer(packet, TIME_S, &[])
}

pub(crate) fn silent(_: &mut [u8]) -> Option<usize> {
    None
}

/// The first thing reported.
fn first(server: Server) -> Event {
    let world = World::default();
    world.weather.set(Weather { server, ..Weather::default() });
    world.run_until(20_000, async |_| {});
    world.time.borrow()[0].1
}

#[test]
fn a_good_answer_is_the_time() {
    assert_eq!(first(good), Event::Time(TIME_S));
    assert_eq!(first(|packet| answer(packet, BUILT_AT_S as u32, &[])), Event::Time(BUILT_AT_S as u32));
    // The protocol's seconds begin anew in February 2036.
    assert_eq!(first(|packet| answer(packet, 2_086_000_000, &[])), Event::Time(2_086_000_000));
}

#[test]
fn anything_else_is_not() {
    let hostile: [(&str, Server); 8] = [
        ("short", |packet| answer(packet, TIME_S, &[]).map(|len| len - 1)),
        ("empty", |_| Some(0)),
        ("a client's", |packet| answer(packet, TIME_S, &[(0, 0x23)])),
        ("of a clock that is not set", |packet| answer(packet, TIME_S, &[(0, 0xE4)])),
        ("kiss of death", |packet| answer(packet, TIME_S, &[(1, 0)])),
        ("stratum 16", |packet| answer(packet, TIME_S, &[(1, 16)])),
        ("another question's", |packet| answer(packet, TIME_S, &[(24, packet[40] ^ 1)])),
        ("before the build", |packet| answer(packet, BUILT_AT_S as u32 - 1, &[])),
    ];
    for (name, server) in hostile {
        let said = first(server);
        assert!(matches!(said, Event::Failed { why: Failure::BadAnswer, .. }), "{name}: {said:?}");
    }
}
