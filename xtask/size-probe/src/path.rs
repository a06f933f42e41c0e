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
    agent::{
        Action, Agent, Config, Failure, Filters, Input, Memory, Part, Publication, Subscription, TopicBuffer,
    },
    boot::{Controlled, Image, Images, Operation},
    driver::{Held, decode},
    journal::{FlashJournal, Journal},
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

/// One step; what it leads to is looked at in the agent.
#[inline(never)]
fn step(agent: &mut Agent<'_>, input: Input<'_>) {
    agent.step(black_box(0), input);
}

fn failed(error: FlashError) -> Input<'static> {
    Input::Failed(Failure::Flash(error))
}

/// The step after work of which nothing is told but whether it is done.
#[inline(never)]
fn finish(agent: &mut Agent<'_>, done: Result<(), FlashError>) {
    step(agent, done.map_or_else(failed, |()| Input::Done));
}

/// What the agent drives. One function for each thing to do, as in any super-loop: were all of them one, the compiler would
/// keep addresses of everything at hand, and need more code for that than for the calls.
struct Device<'m> {
    images: Image<Flash, Flash>,
    journal: FlashJournal<Flash>,
    /// The message in hand.
    payload: &'m [u8],
    scratch: &'m mut [u8],
}

impl Device<'_> {
    #[inline(never)]
    fn receive(&mut self, agent: &mut Agent<'_>) {
        let received = Received { topic: unknown_str(), payload: self.payload };
        if let Some(block) = agent.take_block(black_box(0), &received) {
            black_box(block);
            return;
        }
        let message = match agent.read_block(&received) {
            Some(message) => message,
            None => decode(agent.config().thing_name, &received, self.scratch),
        };
        step(agent, Input::Message(&message));
    }

    #[inline(never)]
    fn subscribe(&self, agent: &Agent<'_>, subscription: Subscription) {
        let mut filters: Filters = [(TopicBuffer::new(), Qos::AtMostOnce); 3];
        black_box(agent.filters(subscription, &mut filters).unwrap_or(0));
    }

    #[inline(never)]
    fn publish(&mut self, agent: &mut Agent<'_>, publication: &Publication) {
        let mut topic = TopicBuffer::new();
        let encoded = black_box(agent.encode(publication, &mut topic, self.scratch));
        step(agent, if encoded.is_ok() { Input::Done } else { Input::Failed(Failure::Refused) });
    }

    #[inline(never)]
    fn erase(&mut self, image: u8, sector: u32) -> Result<(), FlashError> {
        ready(self.images.erase(image, sector))
    }

    #[inline(never)]
    fn compare(&mut self, agent: &mut Agent<'_>, part: &Part) {
        let held = Held { block: self.payload, payload: &[] };
        let compared = ready(self.images.compare(part.image, part.at, held.part(part.from, part.to)));
        step(agent, compared.map_or_else(failed, Input::Compared));
    }

    #[inline(never)]
    fn write(&mut self, part: &Part) -> Result<(), FlashError> {
        let held = Held { block: self.payload, payload: &[] };
        ready(self.images.write(part.image, part.at, held.part(part.from, part.to)))
    }

    #[inline(never)]
    fn read(&mut self, image: u8, at: u32) -> Result<(), FlashError> {
        ready(self.images.read(image, at, self.scratch))
    }

    #[inline(never)]
    fn record(&mut self, agent: &Agent<'_>) -> Result<(), FlashError> {
        ready(self.journal.append(&agent.record()))
    }

    #[inline(never)]
    fn load(&mut self, agent: &mut Agent<'_>) {
        let record = ready(self.journal.load()).unwrap_or(None);
        step(agent, Input::Loaded(record.as_ref()));
    }

    #[inline(never)]
    fn control(&mut self, agent: &mut Agent<'_>, image: u8) {
        let operation = match *agent.action() {
            Action::Withdraw { .. } => Operation::Withdraw,
            Action::Confirm { .. } => Operation::Confirm,
            Action::SetPending { pending, .. } => match agent.take_token() {
                Some(token) => Operation::SetPending(token, pending),
                None => return finish(agent, Err(FlashError::Stale)),
            },
            _inspect => Operation::Inspect,
        };
        let input = match ready(self.images.control(image, operation)) {
            Ok(Controlled::Done) => Input::Done,
            Ok(Controlled::Inspected(state)) => Input::Boot(state),
            Ok(Controlled::Withdrawn(withdrawn)) => Input::Withdrawn(withdrawn),
            Err(error) => failed(error),
        };
        step(agent, input);
    }

    /// Runs the agent until it finishes.
    fn drive(&mut self, agent: &mut Agent<'_>) {
        step(agent, Input::Start);
        loop {
            // Each arm that does not tell the agent itself says what came of its work.
            let done = match *agent.action() {
                Action::Finish(outcome) => {
                    black_box(outcome);
                    return;
                }
                Action::Connect | Action::Disconnect | Action::CloseRange => Ok(()),
                Action::Subscribe(subscription) => {
                    self.subscribe(agent, subscription);
                    Ok(())
                }
                Action::OpenRange(request) => {
                    black_box((agent.url(request.file), &request));
                    Ok(())
                }
                Action::Publish(publication) => {
                    self.publish(agent, &publication);
                    continue;
                }
                Action::Receive { until_ms } | Action::Pause { until_ms } => {
                    black_box(until_ms);
                    self.receive(agent);
                    continue;
                }
                Action::Consult(question) => {
                    black_box(&question);
                    step(agent, Input::Answer(black_box(Answer::Yes)));
                    continue;
                }
                // Of bundles only, which need a feature.
                Action::HashHeld(part) => {
                    black_box(&part);
                    Ok(())
                }
                Action::Hash { image, from, .. } => self.read(image, from),
                Action::Erase { image, sector } => self.erase(image, sector),
                Action::Compare(part) => {
                    self.compare(agent, &part);
                    continue;
                }
                Action::Write(part) => self.write(&part),
                Action::Record => self.record(agent),
                Action::Load => {
                    self.load(agent);
                    continue;
                }
                Action::Inspect { image }
                | Action::SetPending { image, .. }
                | Action::Withdraw { image }
                | Action::Confirm { image } => {
                    self.control(agent, image);
                    continue;
                }
                Action::Verify { .. } => match unknown_token() {
                    Some(token) => {
                        step(agent, Input::Verified(token));
                        continue;
                    }
                    None => Err(FlashError::Stale),
                },
            };
            finish(agent, done);
        }
    }
}

/// Makes agent and device, and drives them.
pub(crate) fn run() {
    let config = Config::new(unknown_str(), core::slice::from_ref(&layout::IMAGE));
    let memory = Memory { strings: unknown(), blocks: unknown(), sectors: unknown() };
    let mut agent = Agent::new(&config, memory);
    let Ok(agent) = &mut agent else { return };
    let Ok(images) = Image::new(Flash, Flash, layout::IMAGE) else { return };
    let Ok(journal) = FlashJournal::new(Flash, layout::JOURNAL) else { return };
    let mut device = Device { images, journal, payload: unknown(), scratch: unknown() };
    device.drive(agent);
}
