//! Each thing that can fail, for ten minutes; then it works again.

use kit_net::{
    Reach,
    time::{self, Event as Time},
    wifi::{Event, Failure, JOIN_MS, PAUSE_MS, REACH_MS, TRIES},
};
use ota_psoc6::{
    sdhc::{Error, Kind},
    watchdog::BOOTLOADER_MS,
    wifi::{BlobError, Broken, JoinError, StartError},
};

use crate::{
    answers,
    world::{Air, TIME_S, Weather, World},
};

const FAULT_MS: u64 = 600_000;
/// The longest a device may take to notice that the fault is over: it has just begun the longest pause, or the longest wait.
const REPAIRED_MS: u64 = 180_000;
const NO_ANSWER: Error = Error { command: 5, kind: Kind::NoResponse };

/// What everybody must see to, whatever happens.
#[track_caller]
fn sane(world: &World, name: &str) {
    let (gap, beats) = (world.longest_gap.get(), u64::from(world.beats.get()));
    assert!(gap < u64::from(BOOTLOADER_MS), "{name}: the watchdog was not fed for {gap} ms");
    assert!(beats >= world.clock.now() / 1_000, "{name}: {beats} beats of the application");
    // Every pause is within its bounds, and kept.
    let (events, starts, joins) = (world.wifi.borrow(), world.starts.borrow(), world.joins.borrow());
    for (at, event) in events.iter() {
        let (Event::Failed { pause_ms, .. } | Event::Anew { pause_ms, .. }) = *event else { continue };
        assert!(pause_ms >= PAUSE_MS[0] && pause_ms < PAUSE_MS[1] / 4 * 5, "{name}: {event:?}");
        let silent = at + 1..at + u64::from(pause_ms);
        let early = starts.iter().chain(joins.iter()).any(|attempt| silent.contains(attempt));
        assert!(!early, "{name}: an attempt within the pause of {event:?} at {at}");
    }
}

/// A fault of the Wi-Fi: it is reported as `why`, and tried again at growing pauses for as long as it lasts.
fn wifi_fault(name: &str, fault: Weather, why: Failure) {
    let world = World::default();
    world.weather.set(fault);
    world.run_until(FAULT_MS + REPAIRED_MS, async |world| {
        world.sleep(FAULT_MS).await;
        let named = |event: &Event| matches!(event, Event::Failed { why: w, .. } | Event::Anew { why: w, .. } if *w == why);
        let (count, all) = (world.reported(named), world.reported(|event| !matches!(event, Event::Joined)));
        assert!((5..=25).contains(&count), "{name}: reported {count} times");
        assert_eq!(count, all, "{name}: {:?}", world.wifi.borrow());
        assert!(world.starts.borrow().len() >= 2, "{name}: the module was never switched off and on");
        assert!(world.time.borrow().is_empty(), "{name}: asked for the time without a network");
        world.weather.set(Weather::default());
    });
    sane(&world, name);
    assert!(world.is_reached(), "{name}: not repaired: {:?}", world.wifi.borrow());
    assert_eq!(world.time.borrow().last().expect("the time").1, Time::Time(TIME_S), "{name}");
}

#[test]
fn every_fault_of_the_wifi_is_named_retried_and_got_over() {
    let good = Weather::default();
    let refused = |error| (Weather { air: Air::Refuses(error), ..good }, Failure::Join(error));
    let broken = |broken| (Weather { broken: Some(broken), ..good }, Failure::Broken(broken));
    let (start, stalled) = (StartError::Sdio(NO_ANSWER), Broken::Stalled { argument: 1 << 28 });
    let cases = [
        ("no module", (Weather { start: Err(start), ..good }, Failure::Start(start))),
        (
            "no clock",
            (Weather { start: Err(StartError::NoClock), ..good }, Failure::Start(StartError::NoClock)),
        ),
        ("set-up without an answer", (Weather { sets_up: false, ..good }, Failure::SetUp)),
        ("no access point", refused(JoinError::NotFound)),
        ("wrong passphrase", refused(JoinError::Passphrase)),
        ("another refusal", refused(JoinError::Failed(1))),
        ("join without an answer", (Weather { air: Air::Silent, ..good }, Failure::Join(JoinError::Timeout))),
        ("joined without a link", (Weather { link: false, ..good }, Failure::NoLink)),
        ("DHCP silent", (Weather { dhcp: false, ..good }, Failure::NoAddress)),
        ("bad bus", broken(Broken::Sdio(NO_ANSWER))),
        ("firmware stalled", broken(stalled)),
    ];
    for (name, (fault, why)) in cases {
        wifi_fault(name, fault, why);
    }
}

#[test]
fn what_cannot_get_better_is_given_up_by_name_and_the_application_runs_on() {
    let good = Weather::default();
    let blob = StartError::Blob(BlobError::StandIn);
    let other = StartError::Unsupported(43012);
    for (fault, why) in [
        (Weather { start: Err(blob), ..good }, Failure::Start(blob)),
        (Weather { start: Err(other), ..good }, Failure::Start(other)),
        (
            Weather { air: Air::Refuses(JoinError::Credentials), ..good },
            Failure::Join(JoinError::Credentials),
        ),
    ] {
        let world = World::default();
        world.weather.set(fault);
        world.run_until(FAULT_MS, async |_| {});
        sane(&world, "final");
        assert_eq!(world.wifi.borrow().last().map(|last| last.1), Some(Event::GivenUp(why)));
        assert_eq!((world.wifi.borrow().len(), world.starts.borrow().len()), (1, 1), "{why:?}");
    }
}

/// A fault behind the access point: the Wi-Fi stays what it is, and the time is asked for at growing pauses.
fn time_fault(name: &str, fault: Weather, why: time::Failure) {
    let world = World::default();
    world.weather.set(fault);
    world.run_until(FAULT_MS + 2 * u64::from(time::PAUSE_MS[1]), async |world| {
        world.sleep(FAULT_MS).await;
        let events = world.time.borrow();
        let named = events.iter().all(|(_, event)| matches!(event, Time::Failed { why: w, .. } if *w == why));
        assert!(named && (5..=12).contains(&events.len()), "{name}: {events:?}");
        for (earlier, later) in events.iter().zip(&events[1..]) {
            let Time::Failed { pause_ms, .. } = earlier.1 else { continue };
            assert!(later.0 - earlier.0 >= u64::from(pause_ms), "{name}: asked within a pause");
        }
        drop(events);
        world.weather.set(Weather::default());
    });
    sane(&world, name);
    assert_eq!(world.starts.borrow().len(), 1, "{name}: no reason to begin anew");
    assert!(world.is_reached(), "{name}");
    assert_eq!(world.time.borrow().last().expect("an answer").1, Time::Time(TIME_S), "{name}");
}

#[test]
fn every_fault_of_the_time_is_named_retried_and_got_over() {
    let good = Weather::default();
    time_fault("DNS silent", Weather { dns: None, ..good }, time::Failure::Dns);
    time_fault("no such name", Weather { dns: Some(false), ..good }, time::Failure::Dns);
    time_fault("no socket", Weather { socket: false, ..good }, time::Failure::Socket);
    time_fault("server silent", Weather { server: answers::silent, ..good }, time::Failure::NoAnswer);
    time_fault("nonsense", Weather { server: |_| Some(48), ..good }, time::Failure::BadAnswer);
}

#[test]
fn pauses_begin_anew_with_an_answer_of_the_time_server() {
    let world = World::default();
    let silent = Weather { server: answers::silent, ..Weather::default() };
    world.weather.set(silent);
    world.run_until(FAULT_MS + 3 * u64::from(time::REFRESH_MS), async |world| {
        world.sleep(FAULT_MS).await;
        world.weather.set(Weather::default());
        world.sleep(u64::from(time::REFRESH_MS) / 2).await;
        world.weather.set(silent);
    });
    let events = world.time.borrow();
    let answered = events.iter().position(|(_, event)| *event == Time::Time(TIME_S)).expect("an answer");
    let Time::Failed { pause_ms, .. } = events[answered + 1].1 else { panic!("{events:?}") };
    assert!(answered > 4 && pause_ms < time::PAUSE_MS[0] / 4 * 5, "{events:?}");
}

#[test]
fn all_well_is_quiet() {
    let world = World::default();
    world.run_until(3 * u64::from(time::REFRESH_MS), async |_| {});
    sane(&world, "all well");
    let events: Vec<Event> = world.wifi.borrow().iter().map(|(_, event)| *event).collect();
    assert_eq!(events, [Event::Joined, Event::Reached]);
    assert_eq!((world.starts.borrow().len(), world.joins.borrow().len()), (1, 1));
    assert_eq!(world.time.borrow().len(), 3, "once a day: {:?}", world.time.borrow());
}

#[test]
fn a_signal_that_comes_back_in_time_is_left_to_the_chip() {
    let world = World::default();
    world.run_until(FAULT_MS, async |world| {
        world.sleep(60_000).await;
        world.weather.set(Weather { link: false, ..Weather::default() });
        world.sleep(u64::from(REACH_MS) - 1_000).await;
        world.weather.set(Weather::default());
    });
    sane(&world, "signal lost");
    let events: Vec<Event> = world.wifi.borrow().iter().map(|(_, event)| *event).collect();
    assert_eq!(events, [Event::Joined, Event::Reached, Event::Lost(Reach::NoLink), Event::Reached]);
    assert_eq!(world.joins.borrow().len(), 1, "the chip joins by itself");
}

#[test]
fn a_link_that_stays_away_is_joined_again_and_then_begun_anew() {
    let world = World::default();
    world.run_until(2 * FAULT_MS, async |world| {
        world.sleep(60_000).await;
        world.weather.set(Weather {
            link: false,
            air: Air::Refuses(JoinError::NotFound),
            ..Weather::default()
        });
        world.sleep(FAULT_MS).await;
        assert!(world.starts.borrow().len() > 1, "never begun anew");
        world.weather.set(Weather::default());
    });
    sane(&world, "out of range");
    let events = world.wifi.borrow();
    assert_eq!(events[2].1, Event::Lost(Reach::NoLink));
    assert!(matches!(events[3].1, Event::Failed { why: Failure::NoLink, attempt: 1, .. }), "{events:?}");
    assert!(world.is_reached(), "{events:?}");
}

/// A link that comes and goes without ever giving an address must not put off the next attempt for ever.
#[test]
fn a_flapping_link_without_an_address_counts_as_none() {
    let world = World::default();
    world.run_until(FAULT_MS, async |world| {
        for turn in 0.. {
            world.weather.set(Weather { dhcp: false, link: turn % 2 == 0, ..Weather::default() });
            world.sleep(5_000).await;
        }
    });
    sane(&world, "flapping");
    assert!(world.reported(|event| matches!(event, Event::Failed { .. })) >= 4, "{:?}", world.wifi.borrow());
    assert!(world.starts.borrow().len() >= 2, "never begun anew");
}

#[test]
fn attempts_in_a_row_are_counted_and_begin_anew_with_an_address() {
    let world = World::default();
    world.run_until(FAULT_MS, async |world| {
        let absent = Weather { air: Air::Refuses(JoinError::NotFound), ..Weather::default() };
        world.weather.set(absent);
        world.sleep(6_000).await;
        world.weather.set(Weather::default());
        world.sleep(60_000).await;
        assert!(world.is_reached());
        world.weather.set(Weather { link: false, ..absent });
    });
    sane(&world, "twice");
    let counted: Vec<u32> = world
        .wifi
        .borrow()
        .iter()
        .filter_map(|(_, event)| match event {
            Event::Failed { attempt, .. } => Some(*attempt),
            Event::Reached => Some(0),
            _ => None,
        })
        .collect();
    let from = counted.iter().position(|attempt| *attempt == 0).expect("it was reached");
    assert!(from > 0, "{counted:?}");
    assert_eq!(counted[from + 1..][..4], [1, 2, 3, 4], "{counted:?}");
    assert!(counted.iter().all(|attempt| *attempt < TRIES));
    // So do the pauses.
    let events = world.wifi.borrow();
    let reached = events.iter().position(|(_, event)| *event == Event::Reached).expect("it was reached");
    let next = events[reached..].iter().find_map(|(_, event)| match event {
        Event::Failed { pause_ms, .. } => Some(*pause_ms),
        _ => None,
    });
    assert!(next.is_some_and(|pause_ms| pause_ms < PAUSE_MS[0] / 4 * 5), "{next:?}");
    assert!(u64::from(JOIN_MS) * u64::from(TRIES) < FAULT_MS);
}

/// Proof that the measure measures: an application that is kept from its beat is seen.
#[test]
fn a_processor_that_is_kept_is_seen_by_the_watchdog() {
    let world = World::default();
    world.run_until(30_000, async |world| {
        world.sleep(10_000).await;
        world.clock.work(u64::from(BOOTLOADER_MS));
    });
    assert!(world.longest_gap.get() >= u64::from(BOOTLOADER_MS));
}
