//! Drives the agent: action → I/O → input.
//!
//! One loop, one `match`. Two levels only because a link borrows its connector: [`run`] works offline until the agent asks
//! for a link, then stays online until the agent wants another one or none.
//!
//! The message in hand is the one in the MQTT client's receive buffer. It stays there, borrowed, while the agent writes
//! parts of it to flash, and is released by whatever needs the link next; nothing is copied on the way.

mod decode;
mod local;

use core::pin::pin;

use embassy_futures::select::{Either, Either3, Either4, select, select3, select4};

use crate::agent::{
    Action, Agent, Failure, Filters, Input, Message, Outcome, Publication, RangeRequest, Subscription,
    TopicBuffer,
};
use crate::boot::Images;
use crate::command::Commands;
use crate::journal::Journal;
use crate::policy::{Observer, Policy};
use crate::transport::{Connector, Control, FailureKind, Qos, Ranges, Received, Timer};
use crate::verify::Scheme;

pub use decode::{Held, decode};
pub use local::{Completion, Local};

/// How long a farewell to the broker may take, milliseconds.
const FAREWELL_MS: u64 = 2_000;

/// Everything the driver works with besides the agent.
pub struct Device<'d, C, R, I, J, P, O, T, S> {
    /// Makes connections to the broker.
    pub connector: C,
    /// The data plane over HTTP, or [`NoRanges`](crate::transport::NoRanges).
    pub ranges: R,
    /// What needs no connection: slots, journal, keys, policy, observer.
    pub local: Local<'d, I, J, P, O, S>,
    /// The clock.
    pub timer: T,
    /// The application's words.
    pub commands: &'d Commands,
    /// Scratch for what is published, [`MAX_PAYLOAD_SIZE`](crate::agent::MAX_PAYLOAD_SIZE) bytes or more. Where blocks
    /// come as JSON also for their payload: the block size, if that is more.
    pub buffer: &'d mut [u8],
    /// One block, for the plane over HTTP; empty without it.
    pub block: &'d mut [u8],
}

/// Runs the agent until the device has to be reset or the application says
/// [`ShutDown`](crate::command::Command::ShutDown).
///
/// On [`Outcome::Reset`] reset the chip: the swap is requested (or an unconfirmed image is to be taken back), nothing is
/// left to write.
///
/// Dropping the future is legal anywhere. It closes the link and leaves flash as a power cut in that place would; calling
/// `run` again with the same agent goes on from there. A flash driver has to wait for its chip to be idle before its next
/// operation.
pub async fn run<C, R, I, J, P, O, T, S>(
    agent: &mut Agent<'_>,
    device: &mut Device<'_, C, R, I, J, P, O, T, S>,
) -> Outcome
where
    C: Connector,
    R: Ranges,
    I: Images,
    J: Journal,
    P: Policy,
    O: Observer,
    T: Timer,
    S: Scheme,
{
    let Device { connector, ranges, local, timer, commands, buffer, block } = device;
    local.forget_digest();
    ranges.close();
    let input = if agent.is_new() { Input::Start } else { Input::ActionLost };
    let mut desk = Desk { agent, local, timer, commands, buffer };
    let mut action = desk.step(input);
    loop {
        action = match action {
            Action::Finish(outcome) => {
                if outcome == Outcome::Reset {
                    desk.local.observer.about_to_reset();
                }
                return outcome;
            }
            Action::Connect => match connector.connect().await {
                Ok(mut link) => {
                    let first = desk.step(Input::Done);
                    online(&mut desk, &mut link, ranges, block, first).await
                }
                Err(_) => desk.step(Input::Failed(Failure::Link)),
            },
            Action::Disconnect | Action::CloseRange => desk.step(Input::Done),
            Action::Subscribe(_) | Action::Publish(_) | Action::Receive { .. } | Action::OpenRange(_) => {
                desk.step(Input::Failed(Failure::Link))
            }
            action => desk.work(action, &Held::NONE).await,
        };
    }
}

/// Works with one link until the agent wants another one or none; returns the action that does.
async fn online<L, R, I, J, P, O, T, S>(
    desk: &mut Desk<'_, '_, '_, I, J, P, O, T, S>,
    link: &mut L,
    ranges: &mut R,
    block: &mut [u8],
    first: Action,
) -> Action
where
    L: Control,
    R: Ranges,
    I: Images,
    J: Journal,
    P: Policy,
    O: Observer,
    T: Timer,
    S: Scheme,
{
    let mut action = first;
    loop {
        action = match action {
            Action::Connect => return Action::Connect,
            Action::Disconnect | Action::Finish(_) => {
                // A farewell spares the broker a time-out; the link is dropped either way.
                let latest = desk.timer.now_ms() + FAREWELL_MS;
                let _ = select(link.disconnect(), desk.timer.until(latest)).await;
                return action;
            }
            Action::OpenRange(request) => {
                let next = ranged(desk, link, ranges, block, &request).await;
                ranges.close();
                next
            }
            Action::CloseRange => desk.step(Input::Done),
            Action::Receive { until_ms } => match desk.commands.take() {
                Some(command) => desk.step(Input::Command(command)),
                None => match select3(link.receive(), desk.timer.until(until_ms), desk.commands.next()).await
                {
                    Either3::First(received) => desk.received(received).await,
                    Either3::Second(()) => desk.step(Input::Timeout),
                    Either3::Third(command) => desk.step(Input::Command(command)),
                },
            },
            action => desk.work_online(link, action).await,
        };
    }
}

/// Takes the blocks of one range in, while the link goes on being served. The future that reads the range is polled beside
/// the link and never dropped for it. Returns the first action the range has no part in.
async fn ranged<L, R, I, J, P, O, T, S>(
    desk: &mut Desk<'_, '_, '_, I, J, P, O, T, S>,
    link: &mut L,
    ranges: &mut R,
    block: &mut [u8],
    request: &RangeRequest,
) -> Action
where
    L: Control,
    R: Ranges,
    I: Images,
    J: Journal,
    P: Policy,
    O: Observer,
    T: Timer,
    S: Scheme,
{
    let asked = ranges.request(desk.agent.url(request.file), request.from, request.to, request.size);
    let mut action = desk.step(Input::Done);
    let mut at = request.from;
    while at < request.to {
        let len = (request.to - at).min(desk.agent.config().block_size);
        let Some(place) = block.get_mut(..len as usize) else { return action };
        let read = {
            let mut reading = pin!(async {
                asked?;
                ranges.read(place).await
            });
            loop {
                action = match action {
                    Action::Connect
                    | Action::Disconnect
                    | Action::Finish(_)
                    | Action::OpenRange(_)
                    | Action::CloseRange => return action,
                    Action::Receive { until_ms } => match desk.commands.take() {
                        Some(command) => desk.step(Input::Command(command)),
                        None => {
                            let (timeout, words) = (desk.timer.until(until_ms), desk.commands.next());
                            match select4(&mut reading, link.receive(), timeout, words).await {
                                Either4::First(read) => break read,
                                Either4::Second(received) => desk.received(received).await,
                                Either4::Third(()) => desk.step(Input::Timeout),
                                Either4::Fourth(command) => desk.step(Input::Command(command)),
                            }
                        }
                    },
                    action => desk.work_online(link, action).await,
                };
            }
        };
        match read {
            Ok(()) => {
                at += len;
                let data = block.get(..len as usize).unwrap_or(&[]);
                let held = Held { block: data, payload: &[] };
                action = desk.step(Input::Message(Message::RangeBlock { data }));
                action = desk.work_in_hand(action, &held).await;
            }
            Err(error) => return desk.step(Input::Message(Message::RangeFailed(error))),
        }
    }
    action
}

/// The agent and what its actions are done with, but for the link.
struct Desk<'s, 'a, 'd, I, J, P, O, T, S> {
    agent: &'s mut Agent<'a>,
    local: &'s mut Local<'d, I, J, P, O, S>,
    timer: &'s mut T,
    commands: &'s Commands,
    buffer: &'s mut [u8],
}

impl<I: Images, J: Journal, P: Policy, O: Observer, T: Timer, S: Scheme> Desk<'_, '_, '_, I, J, P, O, T, S> {
    fn step(&mut self, input: Input<'_>) -> Action {
        self.local.step(self.agent, self.timer.now_ms(), input)
    }

    /// An action that needs no link.
    async fn work(&mut self, action: Action, held: &Held<'_>) -> Action {
        if let Action::Pause { until_ms } = action {
            return match select(self.commands.next(), self.timer.until(until_ms)).await {
                Either::First(command) => self.step(Input::Command(command)),
                Either::Second(()) => self.step(Input::Timeout),
            };
        }
        let completion = self.local.perform(self.agent, action, held).await;
        self.local.step_with(self.agent, self.timer.now_ms(), completion)
    }

    /// All that needs no link, with a message in hand.
    async fn work_in_hand(&mut self, first: Action, held: &Held<'_>) -> Action {
        let mut action = first;
        while Local::<I, J, P, O, S>::can_perform(&action) {
            action = self.work(action, held).await;
        }
        action
    }

    /// An action that is done with once the link has taken it.
    async fn work_online<L: Control>(&mut self, link: &mut L, action: Action) -> Action {
        let input = match action {
            Action::Subscribe(subscription) => subscribe(self.agent, link, subscription).await,
            Action::Publish(publication) => publish(self.agent, link, &publication, self.buffer).await,
            action => return self.work(action, &Held::NONE).await,
        };
        self.step(input)
    }

    /// What the link brought. Whatever needs no link is done with the message still in hand.
    async fn received<E: crate::transport::Failure>(&mut self, received: Result<Received<'_>, E>) -> Action {
        match received {
            Ok(received) if received.is_taken() => self.step(Input::Done),
            Ok(received) => {
                let thing = self.agent.config().thing_name;
                let (message, held) = decode(thing, &received, self.buffer);
                let next = self.local.step(self.agent, self.timer.now_ms(), Input::Message(message));
                let mut action = next;
                while Local::<I, J, P, O, S>::can_perform(&action) {
                    let completion = self.local.perform(self.agent, action, &held).await;
                    action = self.local.step_with(self.agent, self.timer.now_ms(), completion);
                }
                action
            }
            Err(error) => match error.kind() {
                FailureKind::Lost => self.step(Input::Failed(Failure::Link)),
                // An earlier request was refused: its answer will not come, and is asked for again.
                FailureKind::Busy | FailureKind::Refused | FailureKind::TooLarge => self.step(Input::Done),
            },
        }
    }
}

async fn subscribe<L: Control>(
    agent: &Agent<'_>,
    link: &mut L,
    subscription: Subscription,
) -> Input<'static> {
    let mut filters: Filters = [(TopicBuffer::new(), Qos::AtMostOnce); 3];
    let Ok(count) = agent.filters(subscription, &mut filters) else { return Input::Failed(Failure::Refused) };
    let [first, second, third] = &filters;
    let all = [(first.0.as_str(), first.1), (second.0.as_str(), second.1), (third.0.as_str(), third.1)];
    outcome(link.subscribe(all.get(..count).unwrap_or(&all)).await)
}

async fn publish<L: Control>(
    agent: &Agent<'_>,
    link: &mut L,
    publication: &Publication,
    buffer: &mut [u8],
) -> Input<'static> {
    let mut topic = TopicBuffer::new();
    match agent.encode(publication, &mut topic, buffer) {
        Ok((len, qos)) => outcome(link.publish(topic.as_str(), buffer.get(..len).unwrap_or(&[]), qos).await),
        Err(_) => Input::Failed(Failure::Refused),
    }
}

fn outcome<E: crate::transport::Failure>(result: Result<(), E>) -> Input<'static> {
    match result.map_err(|error| error.kind()) {
        Ok(()) => Input::Done,
        Err(FailureKind::Lost) => Input::Failed(Failure::Link),
        Err(FailureKind::Busy | FailureKind::Refused | FailureKind::TooLarge) => {
            Input::Failed(Failure::Refused)
        }
    }
}
