//! Memory for one session: the link is put aside while a range over HTTP is read.

use ota_core::agent::{Plane, StateKind};

use crate::talk::{In, Setup, Talk};
use crate::wire::{document_over_http, job, next};

/// The link is put aside for `one_session_ms`, and the range of the whole file is open.
pub(crate) fn reading(tweak: fn(&mut ota_core::agent::Config<'static>)) -> Talk {
    let mut t = Talk::online(Setup { tweak, ..Setup::ONE });
    let document = document_over_http(t.files[0].len());
    // Nothing but the answer is due before 5000.
    t.on(0, In::Done, "receive until 5000");
    t.on(10, next(job().document(&document)), "ask Start");
    t.on(10, In::Yes, "disconnect");
    t.on(10, In::Done, "open range 0 0..1272");
    t
}

/// A server that says nothing for too long is left, and asked again after a pause: a few times, not all of them at once.
#[test]
fn a_range_that_falls_silent_is_asked_for_again() {
    let mut t = reading(|config| (config.planes, config.one_session_ms) = (&[Plane::Http], Some(3_600_000)));
    for tries in 1..16 {
        let now = t.now;
        t.on(now, In::Done, &format!("receive until {}", now + 5_000));
        t.on(now + 5_000, In::Timeout, "close range");
        t.on(now + 5_000, In::Done, "pause …");
        t.idle("open range 0 0..1272");
        assert!(t.now > now + 5_500, "a pause after try {tries}");
    }
    let now = t.now;
    t.on(now, In::Done, "receive …");
    t.on(now + 5_000, In::Timeout, "record Ended");
    assert_eq!(t.kind(), StateKind::Failed);
}

/// The link is due while the server is slow: the range is closed first.
#[test]
fn the_link_comes_back_after_the_range_is_closed() {
    let mut t = reading(|config| (config.planes, config.one_session_ms) = (&[Plane::Http], Some(1_000)));
    t.on(10, In::Done, "receive until 1010");
    t.on(1_010, In::Timeout, "close range");
    t.on(1_010, In::Done, "connect");
}
