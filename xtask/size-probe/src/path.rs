//! The OTA path: agent, wire formats, bitmap, image, slot, trailer, boot control and journal, driven by a plain loop.
//!
//! What is not here: the async driver, MQTT, HTTP, TLS, and everything that does cryptography. A download is hashed and
//! verified by `ota_core::verify`, which has a row of its own; the token it makes comes from [`unknown_token`] here, so that
//! everything that is done with one is linked all the same.

use core::{
    hint::black_box,
    pin::pin,
    task::{Context, Poll, Waker},
};

use ota_core::{
    agent::{Action, Agent, Config, Failure, Filters, Input, Memory, TopicBuffer},
    boot::{Image, Images},
    driver::{Held, decode},
    journal::{FlashJournal, Journal, Record},
    policy::Answer,
    slot::FlashError,
    transport::{Qos, Received},
    verify::Verified,
};

use crate::{parts::layout, stubs::Flash, unknown, unknown_str};

/// Flash drivers of this program never wait, so each future is ready at once.
fn ready<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
    }
}

fn unknown_token() -> Option<Verified> {
    black_box(None)
}

fn done(result: Result<(), FlashError>) -> Input<'static> {
    match result {
        Ok(()) => Input::Done,
        Err(error) => Input::Failed(Failure::Flash(error)),
    }
}

/// Runs the agent until it finishes.
pub(crate) fn run() {
    let config = Config::new(unknown_str(), core::slice::from_ref(&layout::IMAGE));
    let memory = Memory { strings: unknown(), blocks: unknown(), sectors: unknown() };
    let Ok(mut agent) = Agent::new(&config, memory) else { return };
    let Ok(mut images) = Image::new(Flash, Flash, layout::IMAGE) else { return };
    let Ok(mut journal) = FlashJournal::<_>::new(Flash, layout::JOURNAL) else { return };
    let (payload, scratch): (&[u8], _) = (unknown(), unknown());
    let mut record: Option<Record>;
    let mut action = agent.step(black_box(0), Input::Start);
    loop {
        // The block in hand lies where the last message was received.
        let held = Held { block: black_box(payload), payload: &[] };
        let input = match action {
            Action::Finish(outcome) => {
                black_box(outcome);
                return;
            }
            Action::Connect | Action::Disconnect | Action::CloseRange => black_box(Input::Done),
            Action::Verify { .. } => match unknown_token() {
                Some(token) => Input::Verified(token),
                None => Input::Failed(Failure::Refused),
            },
            Action::OpenRange(request) => {
                black_box((agent.url(request.file), request.from, request.to, request.size));
                Input::Done
            }
            Action::Subscribe(subscription) => {
                let mut filters: Filters = [(TopicBuffer::new(), Qos::AtMostOnce); 3];
                black_box(agent.filters(subscription, &mut filters).unwrap_or(0));
                Input::Done
            }
            Action::Publish(publication) => {
                let mut topic = TopicBuffer::new();
                match black_box(agent.encode(&publication, &mut topic, scratch)) {
                    Ok(_) => Input::Done,
                    Err(_) => Input::Failed(Failure::Refused),
                }
            }
            Action::Receive { until_ms } | Action::Pause { until_ms } => {
                black_box(until_ms);
                let received = Received { topic: unknown_str(), payload };
                if let Some(block) = agent.take_block(black_box(0), &received) {
                    black_box(block);
                    action = *agent.action();
                    continue;
                }
                let message = decode(agent.config().thing_name, &received, scratch);
                action = agent.step(black_box(0), Input::Message(&message));
                continue;
            }
            Action::Consult(question) => {
                black_box(question);
                Input::Answer(black_box(Answer::Yes))
            }
            Action::Erase { image, sector } => done(ready(images.erase(image, sector))),
            Action::Compare(part) => {
                match ready(images.compare(part.image, part.at, held.part(part.from, part.to))) {
                    Ok(compared) => Input::Compared(compared),
                    Err(error) => Input::Failed(Failure::Flash(error)),
                }
            }
            Action::Write(part) => {
                done(ready(images.write(part.image, part.at, held.part(part.from, part.to))))
            }
            // Of bundles only, which need a feature.
            Action::HashHeld(part) => {
                black_box(held.part(part.from, part.to));
                Input::Done
            }
            Action::Hash { image, from, to } => {
                black_box(to);
                done(ready(images.read(image, from, unknown())))
            }
            Action::Record => done(ready(journal.append(&agent.record()))),
            Action::Load => {
                record = ready(journal.load()).unwrap_or(None);
                Input::Loaded(record.as_ref())
            }
            Action::Inspect { image } => match ready(images.inspect(image)) {
                Ok(state) => Input::Boot(state),
                Err(error) => Input::Failed(Failure::Flash(error)),
            },
            Action::SetPending { pending, .. } => match agent.take_token() {
                Some(token) => done(ready(images.set_pending(token, pending))),
                None => Input::Failed(Failure::Refused),
            },
            Action::Withdraw { image } => match ready(images.withdraw(image)) {
                Ok(withdrawn) => Input::Withdrawn(withdrawn),
                Err(error) => Input::Failed(Failure::Flash(error)),
            },
            Action::Confirm { image } => done(ready(images.confirm(image))),
        };
        action = agent.step(black_box(0), input);
    }
}
