//! Every state against every input, computed, and the picture drawn from it.
//!
//! `UPDATE_SNAPSHOTS=1 cargo test -p ota-core --test agent` writes both anew, and the picture into DESIGN.md.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use ota_core::agent::{Action, StateKind};
use ota_core::boot::{ImageState, Revert, Withdrawn};
use ota_core::command::Command;
use ota_core::journal::Phase;
use ota_core::policy::Drop;
use ota_core::slot::{Compared, FlashError};
use ota_core::verify::VerifyError;

use crate::device::{self, OLD, REVERTED};
use crate::talk::{In, Setup, Talk};
use crate::wire::{
    accepted, block, describe_refused, document, held, job, next, no_job, notify, refused, refused_stored,
    stream_refused,
};

const BEGIN: &str = "<!-- states:begin -->\n";
const END: &str = "<!-- states:end -->";

const KINDS: [StateKind; 18] = [
    StateKind::Booting,
    StateKind::Idle,
    StateKind::Custom,
    StateKind::Offered,
    StateKind::Judging,
    StateKind::Downloading,
    StateKind::Verifying,
    StateKind::Verified,
    StateKind::Ready,
    StateKind::Activating,
    StateKind::Pending,
    StateKind::Withdrawing,
    StateKind::Testing,
    StateKind::Confirming,
    StateKind::Confirmed,
    StateKind::Failed,
    StateKind::Resetting,
    StateKind::Stopped,
];

type Reach = fn() -> Talk;

/// Where each state is looked at: one row for each action that can be outstanding in it and matters.
const ROWS: [(&str, Reach); 31] = [
    ("Booting, inspecting", || {
        let mut t = Talk::new(Setup::ONE);
        t.on(0, In::Start, "inspect 0");
        t
    }),
    ("Booting, loading, the old image runs", || loading(OLD)),
    ("Booting, loading, the old image runs again", || loading(REVERTED)),
    ("Booting, loading, the new image runs", || {
        let file = device::file((1, 0, 0), None);
        loading(device::tests(&file, Revert::Yes))
    }),
    ("Idle, asking for a job", || {
        let mut t = Talk::online(Setup::ONE);
        t.on(0, In::Done, "receive …");
        t
    }),
    ("Idle", || {
        let mut t = Talk::online(Setup::ONE);
        t.on(0, In::Done, "receive …");
        t.on(10, no_job(), "receive …");
        t
    }),
    ("Custom", || {
        let mut t = Talk::online(Setup::ONE);
        t.on(0, In::Done, "receive …");
        t.on(10, next(job().document("{}")), "ask Custom");
        t
    }),
    ("Offered, asking policy", || Talk::offered(Setup::ONE)),
    ("Offered, later", || {
        let mut t = Talk::offered(Setup::ONE);
        t.on(10, In::Later(60_000), "receive …");
        asking(t)
    }),
    ("Judging", || Talk::judging(Setup::ONE)),
    ("Judging, asking policy", || {
        let mut t = Talk::judging(Setup::ONE);
        t.on(20, block(&t.files[0], 0), "ask Erase");
        t
    }),
    ("Downloading", || Talk::downloading(Setup::ONE)),
    ("Downloading, asking for the job", || asking(Talk::downloading(Setup::ONE))),
    ("Downloading, erasing", || {
        let mut t = Talk::judging(Setup::ONE);
        t.on(20, block(&t.files[0], 0), "ask Erase");
        t.on(20, In::Yes, "record …");
        t.on(20, In::Done, "erase …");
        t
    }),
    ("Downloading, writing the last block", || {
        let mut t = Talk::downloading(Setup::ONE);
        t.on(30, block(&t.files[0], 1), "write …");
        t.on(30, In::Done, "receive …");
        t.on(40, block(&t.files[0], 2), "write …");
        t
    }),
    ("Verifying", || Talk::verifying(Setup::ONE)),
    ("Verified, reporting", || Talk::verified(Setup::ONE)),
    ("Ready, asking policy", || Talk::ready(Setup::ONE)),
    ("Ready, later", || {
        let mut t = Talk::ready(Setup::ONE);
        t.on(60, In::Later(60_000), "receive …");
        asking(t)
    }),
    ("Activating", || {
        let mut t = Talk::ready(Setup::ONE);
        t.on(60, In::Yes, "set pending 0");
        t
    }),
    ("Pending", || Talk::pending(Setup::ONE)),
    ("Withdrawing, canceled", || {
        let mut t = Talk::pending(Setup::ONE);
        t.on(70, Talk::canceled(job()), "withdraw 0");
        t
    }),
    ("Withdrawing, aborted", || {
        let mut t = Talk::pending(Setup::ONE);
        t.on(70, In::Say(Command::Abort), "record …");
        t.on(70, In::Done, "withdraw 0");
        t
    }),
    ("Testing, reverts", || asking(Talk::testing(Setup::ONE, Revert::Yes))),
    ("Testing, does not revert", || Talk::testing(Setup::ONE, Revert::No)),
    ("Testing, the job is gone", || {
        let mut t = asking(Talk::testing(Setup::ONE, Revert::Yes));
        t.on(t.now, Talk::canceled(job()), "record …");
        t.on(t.now, In::Done, "ask JobGoneInTest");
        t
    }),
    ("Confirming", || {
        let mut t = Talk::testing(Setup::ONE, Revert::Yes);
        t.on(1000, In::Say(Command::SelfTestPassed), "confirm 0");
        t
    }),
    ("Confirmed, reporting", || Talk::confirmed(Setup::ONE)),
    ("Failed, reporting", || {
        let mut t = Talk::downloading(Setup::ONE);
        t.on(30, In::Say(Command::Abort), "record …");
        t.on(30, In::Done, "update …");
        t.on(30, In::Done, "receive …");
        t
    }),
    ("Resetting", || {
        let mut t = Talk::pending(Setup::ONE);
        t.idle("reset");
        t
    }),
    ("Stopped", || {
        let mut t = Talk::downloading(Setup::ONE);
        t.on(30, In::Say(Command::ShutDown), "stopped");
        t
    }),
];

fn loading(state: ImageState) -> Talk {
    let mut t = Talk::new(Setup::ONE);
    t.on(0, In::Start, "inspect 0");
    t.on(0, In::Boot(state), "load");
    t
}

/// The held job is being asked about.
fn asking(mut t: Talk) -> Talk {
    let now = t.now;
    t.on(now, notify(), "get …");
    t.on(now, In::Done, "receive …");
    t
}

/// What a journal says at the next boot.
fn record(reach: fn(Setup) -> Talk, phase: Phase) -> In {
    let mut record = reach(Setup::ONE).journal.expect("something was recorded");
    In::Loaded(Some(*record.set_phase(phase)))
}

/// Every kind of input: its name, and the name its edge has in the picture.
fn inputs() -> Vec<(&'static str, &'static str, In)> {
    let file = device::file((1, 0, 0), None);
    let useless = In::Message { topic: "factory/light".into(), payload: "on".into() };
    vec![
        ("start", "", In::Start),
        ("action lost", "", In::Lost),
        ("done", "done", In::Done),
        ("timeout", "time is up", In::Timeout),
        ("failed: link", "link lost", In::Link),
        ("failed: refused", "refused", In::Refused),
        ("failed: flash", "flash failed", In::Flash(FlashError::Driver)),
        ("failed: verify", "does not verify", In::Invalid(VerifyError::BadSignature)),
        ("loaded: nothing", "nothing known", In::Loaded(None)),
        ("loaded: downloading", "downloading before", record(Talk::downloading, Phase::Downloading)),
        ("loaded: verified", "verified before", record(Talk::verified, Phase::Verified)),
        ("loaded: ready", "ready before", record(Talk::ready, Phase::Ready)),
        ("loaded: pending", "pending before", record(Talk::pending, Phase::Pending)),
        ("loaded: testing", "testing before", record(Talk::pending, Phase::Testing)),
        ("loaded: confirmed", "confirmed before", record(Talk::confirmed, Phase::Confirmed)),
        ("loaded: ended", "ended before", {
            let In::Loaded(Some(mut record)) = record(Talk::pending, Phase::Ended) else { unreachable!() };
            In::Loaded(Some(*record.set_status(1).set_reason(44)))
        }),
        ("boot state", "inspected", In::Boot(OLD)),
        ("compared: equal", "equal", In::Compared(Compared::Equal)),
        ("compared: blank", "blank", In::Compared(Compared::Blank)),
        ("compared: different", "different", In::Compared(Compared::Different)),
        ("verified", "verified", In::Verified),
        ("withdrawn", "withdrawn", In::Withdrawn(Withdrawn::ImageKept)),
        ("answer: yes", "policy: yes", In::Yes),
        ("answer: later", "policy: later", In::Later(1000)),
        ("answer: no", "policy: no", In::No),
        ("command: shut down", "", In::Say(Command::ShutDown)),
        ("command: abort", "abort", In::Say(Command::Abort)),
        ("command: self test failed", "self test failed", In::Say(Command::SelfTestFailed)),
        ("command: self test passed", "self test passed", In::Say(Command::SelfTestPassed)),
        ("command: suspend", "suspend", In::Say(Command::Suspend)),
        ("command: resume", "resume", In::Say(Command::Resume)),
        ("command: check now", "check now", In::Say(Command::CheckNow)),
        ("message: next job", "job", next(job())),
        ("message: next job, custom", "custom job", next(job().document("{}"))),
        ("message: next job, malformed", "unusable job", next(job().document(&document(&[])))),
        ("message: no job", "no job", no_job()),
        ("message: held job", "job", held(job().is("IN_PROGRESS", 2))),
        ("message: held job, retried", "retried", held(job().number(2))),
        ("message: held job, canceled", "canceled", Talk::canceled(job())),
        ("message: describe, not found", "canceled", describe_refused("rel-1", "ResourceNotFound")),
        ("message: describe, throttled", "throttled", describe_refused("rel-1", "RequestThrottled")),
        ("message: update accepted", "accepted", accepted("IN_PROGRESS", 5)),
        ("message: update, over", "canceled", refused("TerminalStateReached")),
        ("message: update, throttled", "throttled", refused("RequestThrottled")),
        ("message: update, conflict", "conflict", refused_stored("VersionMismatch", "IN_PROGRESS", 6, "")),
        ("message: notify", "notify", notify()),
        ("message: block 0", "first block", block(&file, 0)),
        ("message: block 1", "block", block(&file, 1)),
        ("message: stream, not found", "stream refused", stream_refused("ResourceNotFound")),
        ("message: stream, failing", "stream fails", stream_refused("InternalError")),
        ("message: useless", "", useless),
    ]
}

/// An action without its moments and pauses, which are the scripts' business.
fn action(t: &Talk) -> String {
    let shown = t.shown();
    match shown.split_once(" until ") {
        Some((wait, _)) => wait.into(),
        None => shown,
    }
}

struct Table {
    text: String,
    /// From, to: by what.
    edges: BTreeMap<(usize, usize), Vec<&'static str>>,
}

fn table() -> Table {
    let mut text = String::from(
        "Every state against every input: the state after it, and the action asked for next.\n\
         . nothing changes   ! not legal for the outstanding action: counted, the action is planned again\n",
    );
    let mut edges: BTreeMap<_, Vec<&'static str>> = BTreeMap::new();
    let mut seen = [false; KINDS.len()];
    let index = |kind| KINDS.iter().position(|k| *k == kind).expect("every kind is listed");
    for (name, reach) in ROWS {
        let t = reach();
        let from = t.kind();
        seen[index(from)] = true;
        let mut illegal: BTreeMap<_, Vec<_>> = BTreeMap::new();
        write!(text, "\n{name} (outstanding: {})\n", action(&t)).unwrap();
        for (input_name, edge, input) in inputs() {
            let mut t = reach();
            let (before, unexpected) = (action(&t), t.agent.statistics().unexpected);
            let dropped = t.agent.statistics().dropped;
            let can_happen = can_happen(&t.action, &input);
            if let (In::Timeout, Action::Receive { until_ms } | Action::Pause { until_ms }) =
                (&input, &t.action)
            {
                t.now = *until_ms;
            }
            t.step(&input);
            let (to, after) = (t.kind(), action(&t));
            let is_legal = t.agent.statistics().unexpected == unexpected;
            if !is_legal {
                illegal.entry((format!("{to:?}"), after)).or_default().push(input_name);
                continue;
            }
            let mark = if to == from && after == before { '.' } else { ' ' };
            let why = match t.agent.statistics().last_drop {
                Some(why) if t.agent.statistics().dropped > dropped => {
                    format!(" (dropped: {})", drop_name(why))
                }
                _ => String::new(),
            };
            writeln!(text, "{mark} {input_name:<30}{:<12} {after}{why}", format!("{to:?}")).unwrap();
            if to != from && !edge.is_empty() && can_happen {
                let labels = edges.entry((index(from), index(to))).or_default();
                if !labels.contains(&edge) {
                    labels.push(edge);
                }
            }
        }
        for ((to, after), names) in illegal {
            writeln!(text, "! {:<30}{to:<12} {after}", format!("{} not legal", names.len())).unwrap();
            for names in names.chunks(5) {
                writeln!(text, "      {}", names.join("; ")).unwrap();
            }
        }
    }
    assert!(seen.iter().all(|seen| *seen), "a state without a row: {seen:?}");
    Table { text, edges }
}

/// Flash fails flash actions, and links fail what goes over them: anything else the agent takes, but no driver says.
fn can_happen(action: &Action, input: &In) -> bool {
    let network = match action {
        Action::Connect
        | Action::Disconnect
        | Action::Subscribe(_)
        | Action::Publish(_)
        | Action::OpenRange(_)
        | Action::CloseRange
        | Action::Receive { .. }
        | Action::Pause { .. } => true,
        Action::Load
        | Action::Inspect { .. }
        | Action::Consult(_)
        | Action::Erase { .. }
        | Action::Compare(_)
        | Action::Write(_)
        | Action::HashHeld(_)
        | Action::Hash { .. }
        | Action::Record
        | Action::Verify { .. }
        | Action::SetPending { .. }
        | Action::Withdraw { .. }
        | Action::Confirm { .. }
        | Action::Finish(_) => false,
    };
    match input {
        In::Link | In::Refused => network,
        In::Flash(_) => !network,
        In::Invalid(_) => matches!(action, Action::Verify { .. }),
        _ => true,
    }
}

fn drop_name(why: Drop) -> &'static str {
    match why {
        Drop::Unknown => "unknown",
        Drop::Undecodable => "undecodable",
        Drop::Late => "late",
        Drop::Duplicate => "duplicate",
        Drop::WrongFile => "wrong file",
        Drop::OutOfWindow => "out of window",
        Drop::WrongLength => "wrong length",
    }
}

/// The transitions as a Mermaid diagram.
fn picture(table: &Table) -> String {
    let mut text = String::from("```mermaid\nstateDiagram-v2\n    [*] --> Booting\n");
    for ((from, to), labels) in &table.edges {
        writeln!(text, "    {:?} --> {:?}: {}", KINDS[*from], KINDS[*to], labels.join(", ")).unwrap();
    }
    text += "    Resetting --> [*]\n    Stopped --> [*]\n```\n\nFrom every state *start* leads to Booting; from every \
             state that waits *shut down* leads to Stopped.\n";
    text
}

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn is_updating() -> bool {
    std::env::var_os("UPDATE_SNAPSHOTS").is_some()
}

/// Compares with the snapshot, or writes it.
fn compare(path: &str, text: &str) {
    let path = here(path);
    if is_updating() {
        return fs::write(path, text).expect("the snapshot can be written");
    }
    let old = fs::read_to_string(&path).unwrap_or_default();
    let differs = old.lines().zip(text.lines()).position(|(old, new)| old != new);
    let line = differs.unwrap_or(old.lines().count().min(text.lines().count()));
    assert!(
        old == text,
        "{} line {}:\n  was {:?}\n  is  {:?}\nIf that is meant, run with UPDATE_SNAPSHOTS=1 and read the diff.",
        path.display(),
        line + 1,
        old.lines().nth(line),
        text.lines().nth(line)
    );
}

#[test]
fn every_state_against_every_input() {
    compare("tests/snapshots/states.txt", &table().text);
}

#[test]
fn the_picture_is_drawn_from_the_table() {
    compare("tests/snapshots/states.md", &picture(&table()));
}

/// DESIGN.md shows the picture of today.
#[test]
fn the_design_shows_the_picture() {
    let path = here("../DESIGN.md");
    let picture = picture(&table());
    let design = fs::read_to_string(&path).unwrap_or_default();
    let Some((before, rest)) = design.split_once(BEGIN) else {
        panic!("DESIGN.md has no line {BEGIN:?}: put it and {END:?} where the states are explained");
    };
    let (shown, after) = rest.split_once(END).expect("DESIGN.md: states:begin without states:end");
    if is_updating() {
        fs::write(path, format!("{before}{BEGIN}{picture}{END}{after}")).expect("DESIGN.md can be written");
    } else {
        assert!(shown == picture, "DESIGN.md shows old states: run this test with UPDATE_SNAPSHOTS=1");
    }
}
