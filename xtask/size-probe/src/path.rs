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
    boot::{Image, Images, Withdrawn},
    driver::{Held, decode},
    journal::{FlashJournal, Journal},
    policy::Answer,
    slot::Compared,
    trailer::Pending,
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

/// The step after an action of which nothing is told but whether it worked.
#[inline(never)]
fn finish(agent: &mut Agent<'_>, result: Result<(), Failure>) {
    step(agent, result.map_or_else(Input::Failed, |()| Input::Done));
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
    fn publish(&mut self, agent: &Agent<'_>, publication: &Publication) -> Result<(), Failure> {
        let mut topic = TopicBuffer::new();
        let encoded = agent.encode(publication, &mut topic, self.scratch);
        black_box(encoded).map(|_| ()).map_err(|_| Failure::Refused)
    }

    #[inline(never)]
    fn erase(&mut self, image: u8, sector: u32) -> Result<(), Failure> {
        ready(self.images.erase(image, sector)).map_err(Failure::Flash)
    }

    #[inline(never)]
    fn compare(&mut self, part: &Part) -> Result<Compared, Failure> {
        let held = Held { block: black_box(self.payload), payload: &[] };
        ready(self.images.compare(part.image, part.at, held.part(part.from, part.to))).map_err(Failure::Flash)
    }

    #[inline(never)]
    fn write(&mut self, part: &Part) -> Result<(), Failure> {
        let held = Held { block: black_box(self.payload), payload: &[] };
        ready(self.images.write(part.image, part.at, held.part(part.from, part.to))).map_err(Failure::Flash)
    }

    #[inline(never)]
    fn read(&mut self, image: u8, from: u32, to: u32) -> Result<(), Failure> {
        black_box(to);
        ready(self.images.read(image, from, unknown())).map_err(Failure::Flash)
    }

    #[inline(never)]
    fn record(&mut self, agent: &Agent<'_>) -> Result<(), Failure> {
        ready(self.journal.append(&agent.record())).map_err(Failure::Flash)
    }

    #[inline(never)]
    fn load(&mut self, agent: &mut Agent<'_>) {
        let record = ready(self.journal.load()).unwrap_or(None);
        step(agent, Input::Loaded(record.as_ref()));
    }

    #[inline(never)]
    fn inspect(&mut self, agent: &mut Agent<'_>, image: u8) {
        let inspected = ready(self.images.inspect(image));
        step(agent, inspected.map_or_else(|error| Input::Failed(Failure::Flash(error)), Input::Boot));
    }

    #[inline(never)]
    fn set_pending(&mut self, agent: &mut Agent<'_>, pending: Pending) -> Result<(), Failure> {
        let token = agent.take_token().ok_or(Failure::Refused)?;
        ready(self.images.set_pending(token, pending)).map_err(Failure::Flash)
    }

    #[inline(never)]
    fn withdraw(&mut self, image: u8) -> Result<Withdrawn, Failure> {
        ready(self.images.withdraw(image)).map_err(Failure::Flash)
    }

    #[inline(never)]
    fn confirm(&mut self, image: u8) -> Result<(), Failure> {
        ready(self.images.confirm(image)).map_err(Failure::Flash)
    }

    /// Runs the agent until it finishes.
    fn drive(&mut self, agent: &mut Agent<'_>) {
        step(agent, Input::Start);
        loop {
            match *agent.action() {
                Action::Finish(outcome) => {
                    black_box(outcome);
                    return;
                }
                Action::Connect | Action::Disconnect | Action::CloseRange => finish(agent, black_box(Ok(()))),
                Action::Verify { .. } => match unknown_token() {
                    Some(token) => step(agent, Input::Verified(token)),
                    None => finish(agent, Err(Failure::Refused)),
                },
                Action::OpenRange(request) => {
                    black_box((agent.url(request.file), request.from, request.to, request.size));
                    finish(agent, Ok(()));
                }
                Action::Subscribe(subscription) => {
                    self.subscribe(agent, subscription);
                    finish(agent, Ok(()));
                }
                Action::Publish(publication) => {
                    let published = self.publish(agent, &publication);
                    finish(agent, published);
                }
                Action::Receive { until_ms } | Action::Pause { until_ms } => {
                    black_box(until_ms);
                    self.receive(agent);
                }
                Action::Consult(question) => {
                    black_box(question);
                    step(agent, Input::Answer(black_box(Answer::Yes)));
                }
                Action::Erase { image, sector } => finish(agent, self.erase(image, sector)),
                Action::Compare(part) => match self.compare(&part) {
                    Ok(compared) => step(agent, Input::Compared(compared)),
                    Err(failure) => finish(agent, Err(failure)),
                },
                Action::Write(part) => finish(agent, self.write(&part)),
                // Of bundles only, which need a feature.
                Action::HashHeld(part) => {
                    black_box(part);
                    finish(agent, Ok(()));
                }
                Action::Hash { image, from, to } => finish(agent, self.read(image, from, to)),
                Action::Record => {
                    let recorded = self.record(agent);
                    finish(agent, recorded);
                }
                Action::Load => self.load(agent),
                Action::Inspect { image } => self.inspect(agent, image),
                Action::SetPending { pending, .. } => {
                    let set = self.set_pending(agent, pending);
                    finish(agent, set);
                }
                Action::Withdraw { image } => match self.withdraw(image) {
                    Ok(withdrawn) => step(agent, Input::Withdrawn(withdrawn)),
                    Err(failure) => finish(agent, Err(failure)),
                },
                Action::Confirm { image } => finish(agent, self.confirm(image)),
            }
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
