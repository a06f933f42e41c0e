//! URLs expire, and new ones come with the job document.

use ota_core::agent::Plane;
use ota_core::transport::RangeError;

use crate::talk::{In, Setup, Talk};
use crate::wire::{Job, document_over_http, held, job, next, notify};

const HTTP: Setup = Setup { tweak: |config| config.planes = &[Plane::Http], ..Setup::ONE };

/// The job, in the hand of this device.
fn taken() -> Job {
    job().is("IN_PROGRESS", 2).document(&document_over_http(1272))
}

/// The first range is open.
fn reading() -> Talk {
    let mut t = Talk::online(HTTP);
    t.on(0, In::Done, "receive …");
    t.on(10, next(job().document(&document_over_http(1272))), "ask Start");
    t.on(10, In::Yes, "open range 0 0..1272");
    t.on(10, In::Done, "receive …");
    t
}

/// The first range is refused: a new URL is asked for.
fn expired() -> Talk {
    let mut t = reading();
    t.on(20, In::Range(RangeError::Expired), "get rel-1");
    t.on(20, In::Done, "receive …");
    t
}

/// Soon, not with the next poll hours later.
#[track_caller]
fn assert_soon(t: &mut Talk, verb: &str) {
    let from = t.now;
    t.until_published(verb);
    assert!(t.now - from < 60_000, "after {} ms", t.now - from);
}

#[test]
fn a_new_url_is_read_from_at_once() {
    let mut t = expired();
    t.on(30, held(taken()), "open range 0 0..1272");
    assert_eq!(t.agent.statistics().url_refreshes, 1);
}

#[test]
fn an_answer_with_a_new_url_that_got_lost_is_asked_for_again() {
    let mut t = expired();
    t.idle("receive …");
    t.until_published("get");
    assert_eq!(t.shown(), "get rel-1");
    let now = t.now;
    t.on(now, In::Done, "receive …");
    t.on(now, held(taken()), "…");
    assert_soon(&mut t, "open range");
}

/// A job may be looked after, without its document, when the URL expires.
#[test]
fn a_url_that_expires_while_another_question_is_under_way_is_asked_for_after_it() {
    let mut t = reading();
    t.on(20, notify(), "get rel-1 bare");
    t.on(20, In::Done, "receive …");
    t.on(30, In::Range(RangeError::Expired), "receive …");
    t.on(40, held(taken().bare()), "get rel-1");
    t.on(40, In::Done, "receive …");
    t.on(50, held(taken()), "…");
    assert_soon(&mut t, "open range");
}

/// New URLs may be longer than the old ones, and the document then larger than the receive buffer.
#[test]
fn a_new_url_that_never_comes_is_the_end_of_the_plane() {
    let mut t = expired();
    // The first question is on its way.
    let asks = ["get rel-1", "get rel-1", "get rel-1 bare"].repeat(3).into_iter().skip(1);
    t.idle("receive …");
    for ask in asks {
        assert_soon(&mut t, "get");
        assert_eq!(t.shown(), ask);
        let now = t.now;
        t.on(now, In::Done, "receive …");
        match ask {
            "get rel-1 bare" => t.on(now, held(taken().bare()), "…"),
            _ => t.idle("…"),
        }
    }
    assert_soon(&mut t, "update rel-1 FAILED reason=url_expired");
}
