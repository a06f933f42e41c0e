//! Drives the agent: action → I/O → input.
//!
//! One loop, one `match`. Two levels only because a link borrows its connector: [`run`] works offline until the agent asks
//! for a link, then stays online until the agent wants another one or none.
//!
//! The message in hand is the one in the MQTT client's receive buffer. It stays there, borrowed, while the agent writes
//! parts of it to flash, and is released by whatever needs the link next; nothing is copied on the way.

mod decode;
mod local;

use embassy_futures::select::{Either, Either3, select, select3};

use crate::agent::{Action, Agent, Failure, Filters, Input, Outcome, Publication, Subscription, TopicBuffer};
use crate::boot::Images;
use crate::command::Commands;
use crate::journal::Journal;
use crate::policy::{Observer, Policy};
use crate::transport::{Connector, Control, Failure as _, FailureKind, Qos, Timer};
use crate::verify::Scheme;

pub use decode::{Held, decode};
pub use local::{Completion, Local};

/// How long a farewell to the broker may take, milliseconds.
const FAREWELL_MS: u64 = 2_000;

/// Everything the driver works with besides the agent.
pub struct Device<'d, C, I, J, P, O, T, S> {
    /// Makes connections to the broker.
    pub connector: C,
    /// What needs no connection: slots, journal, keys, policy, observer.
    pub local: Local<'d, I, J, P, O, S>,
    /// The clock.
    pub timer: T,
    /// The application's words.
    pub commands: &'d Commands,
    /// Scratch for what is published, [`MAX_PAYLOAD_SIZE`](crate::agent::MAX_PAYLOAD_SIZE) bytes or more. Where blocks
    /// come as JSON also for their payload: the block size, if that is more.
    pub buffer: &'d mut [u8],
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
pub async fn run<C, I, J, P, O, T, S>(
    agent: &mut Agent<'_>,
    device: &mut Device<'_, C, I, J, P, O, T, S>,
) -> Outcome
where
    C: Connector,
    I: Images,
    J: Journal,
    P: Policy,
    O: Observer,
    T: Timer,
    S: Scheme,
{
    let Device { connector, local, timer, commands, buffer } = device;
    local.forget_digest();
    let mut action = {
        let input = if agent.is_new() { Input::Start } else { Input::ActionLost };
        local.step(agent, timer.now_ms(), input)
    };
    loop {
        action = match action {
            Action::Finish(outcome) => {
                if outcome == Outcome::Reset {
                    local.observer.about_to_reset();
                }
                return outcome;
            }
            Action::Connect => match connector.connect().await {
                Ok(mut link) => {
                    let first = local.step(agent, timer.now_ms(), Input::Done);
                    online(agent, &mut link, local, timer, commands, buffer, first).await
                }
                Err(_) => local.step(agent, timer.now_ms(), Input::Failed(Failure::Link)),
            },
            Action::Disconnect => local.step(agent, timer.now_ms(), Input::Done),
            Action::Pause { until_ms } => pause(agent, local, timer, commands, until_ms).await,
            Action::Subscribe(_) | Action::Publish(_) | Action::Receive { .. } => {
                local.step(agent, timer.now_ms(), Input::Failed(Failure::Link))
            }
            action => {
                let input = local.perform(agent, action, &Held::NONE).await;
                local.step_with(agent, timer.now_ms(), input)
            }
        };
    }
}

/// Works with one link until the agent wants another one or none; returns the action that does.
async fn online<L, I, J, P, O, T, S>(
    agent: &mut Agent<'_>,
    link: &mut L,
    local: &mut Local<'_, I, J, P, O, S>,
    timer: &mut T,
    commands: &Commands,
    buffer: &mut [u8],
    first: Action,
) -> Action
where
    L: Control,
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
                let latest = timer.now_ms() + FAREWELL_MS;
                let _ = select(link.disconnect(), timer.until(latest)).await;
                return action;
            }
            Action::Pause { until_ms } => pause(agent, local, timer, commands, until_ms).await,
            Action::Subscribe(subscription) => {
                let input = subscribe(agent, link, subscription).await;
                local.step(agent, timer.now_ms(), input)
            }
            Action::Publish(publication) => {
                let input = publish(agent, link, &publication, buffer).await;
                local.step(agent, timer.now_ms(), input)
            }
            Action::Receive { until_ms } => {
                if let Some(command) = commands.take() {
                    local.step(agent, timer.now_ms(), Input::Command(command))
                } else {
                    match select3(link.receive(), timer.until(until_ms), commands.next()).await {
                        Either3::First(Ok(received)) if received.is_taken() => {
                            local.step(agent, timer.now_ms(), Input::Done)
                        }
                        Either3::First(Ok(received)) => {
                            let (message, held) = decode(agent.config().thing_name, &received, buffer);
                            let mut next = local.step(agent, timer.now_ms(), Input::Message(message));
                            // What needs no link is done with the message still in hand.
                            while Local::<I, J, P, O, S>::can_perform(&next) {
                                let input = local.perform(agent, next, &held).await;
                                next = local.step_with(agent, timer.now_ms(), input);
                            }
                            next
                        }
                        Either3::First(Err(error)) => {
                            let input = match error.kind() {
                                FailureKind::Lost => Input::Failed(Failure::Link),
                                // An earlier request was refused: its answer will not come, and is asked for again.
                                FailureKind::Busy | FailureKind::Refused | FailureKind::TooLarge => {
                                    Input::Done
                                }
                            };
                            local.step(agent, timer.now_ms(), input)
                        }
                        Either3::Second(()) => local.step(agent, timer.now_ms(), Input::Timeout),
                        Either3::Third(command) => local.step(agent, timer.now_ms(), Input::Command(command)),
                    }
                }
            }
            action => {
                let input = local.perform(agent, action, &Held::NONE).await;
                local.step_with(agent, timer.now_ms(), input)
            }
        };
    }
}

async fn pause<I, J, P, O, T, S>(
    agent: &mut Agent<'_>,
    local: &mut Local<'_, I, J, P, O, S>,
    timer: &mut T,
    commands: &Commands,
    until_ms: u64,
) -> Action
where
    I: Images,
    J: Journal,
    P: Policy,
    O: Observer,
    T: Timer,
    S: Scheme,
{
    let input = match select(commands.next(), timer.until(until_ms)).await {
        Either::First(command) => Input::Command(command),
        Either::Second(()) => Input::Timeout,
    };
    local.step(agent, timer.now_ms(), input)
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
