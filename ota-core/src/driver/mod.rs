//! Drives the agent: action → I/O → input.
//!
//! One loop, one `match`. Two levels only because a link borrows its connector: [`run`] works offline until the agent asks
//! for a link, then stays online until the agent wants another one or none.
//!
//! The message in hand is the one in the MQTT client's receive buffer. It stays there, borrowed, while the agent writes
//! parts of it to flash, and is released by whatever needs the link next; nothing is copied on the way.
//!
//! # Without an async runtime
//!
//! [`run`] is one driver of several possible ones. A blocking super-loop does what it does: it hands each action to its own
//! MQTT client or to [`Local::perform`], and the completion to the next step. Here `Mqtt` is such a client: its calls
//! return when they are done, and `receive` at the latest when its time is over. `completion` makes `Input::Done` of `Ok` and
//! `Input::Failed` of `Err`.
//!
//! ```
//! # use std::cell::{Cell, RefCell};
//! use embassy_futures::block_on;
//! use ota_core::agent::{Action, Agent, Failure, Filters, Input, Outcome, TopicBuffer};
//! use ota_core::driver::{Held, Local, decode};
//! use ota_core::{boot::Images, command::Commands, journal::Journal, policy::*, transport::Qos, verify::Scheme};
//! # use ota_core::transport::Received;
//! # use ota_core::agent::{Config, Memory};
//! # use ota_core::boot::{Image, SharedFlash};
//! # use ota_core::geometry::{BootMode, Geometry, ImageLayout, ImageSlots, MaxAlign, Reprogram, SlotLayout};
//! # use ota_core::journal::NoJournal;
//! # use ota_core::verify::{EcdsaP256, PublicKey, Rules};
//! # use ota_sim::aws::{Link, LinkConfig, Message, OtaSpec, Service, ServiceConfig};
//! # use ota_sim::flash::{Device as _, FlashConfig, Kind, VecFlash};
//! # use ota_sim::image::{ImageBuilder, Key};
//!
//! fn update<I: Images, J: Journal, P: Policy, O: Observer, S: Scheme>(
//!     agent: &mut Agent<'_>,
//!     local: &mut Local<'_, I, J, P, O, S>,
//!     mqtt: &mut Mqtt,
//!     commands: &Commands,
//! ) -> Outcome {
//!     let mut buffer = [0; 2048];
//!     let mut action = local.step(agent, now_ms(), Input::Start);
//!     loop {
//!         let input = match action {
//!             Action::Finish(outcome) => return outcome,
//!             Action::Connect => completion(mqtt.connect()),
//!             Action::Disconnect => completion(mqtt.disconnect()),
//!             Action::Subscribe(subscription) => {
//!                 let mut filters: Filters = [(TopicBuffer::new(), Qos::AtMostOnce); 3];
//!                 let count = agent.filters(subscription, &mut filters).unwrap_or(0);
//!                 completion(filters[..count].iter().try_for_each(|(topic, _)| mqtt.subscribe(topic.as_str())))
//!             }
//!             Action::Publish(publication) => {
//!                 let mut topic = TopicBuffer::new();
//!                 match agent.encode(&publication, &mut topic, &mut buffer) {
//!                     Ok((len, qos)) => completion(mqtt.publish(topic.as_str(), &buffer[..len], qos)),
//!                     Err(_) => Input::Failed(Failure::Refused),
//!                 }
//!             }
//!             // Once round the super-loop: the application's own work, the watchdog, then this.
//!             Action::Receive { until_ms } | Action::Pause { until_ms } => match commands.take() {
//!                 Some(command) => Input::Command(command),
//!                 None => match mqtt.receive(until_ms) {
//!                     Err(Lost) => Input::Failed(Failure::Link),
//!                     Ok(None) => Input::Timeout,
//!                     Ok(Some(received)) => {
//!                         let (message, held) = decode(agent.config().thing_name, &received, &mut buffer);
//!                         action = local.step(agent, now_ms(), Input::Message(message));
//!                         // The message stays in the client's buffer until flash holds what it brought.
//!                         while Local::<I, J, P, O, S>::can_perform(&action) {
//!                             let done = block_on(local.perform(agent, action, &held));
//!                             action = local.step_with(agent, now_ms(), done);
//!                         }
//!                         continue;
//!                     }
//!                 },
//!             },
//!             flash_or_policy => {
//!                 let done = block_on(local.perform(agent, flash_or_policy, &Held::NONE));
//!                 action = local.step_with(agent, now_ms(), done);
//!                 continue;
//!             }
//!         };
//!         action = local.step(agent, now_ms(), input);
//!     }
//! }
//!
//! # fn completion(result: Result<(), Lost>) -> Input<'static> {
//! #     result.map_or(Input::Failed(Failure::Link), |()| Input::Done)
//! # }
//! # struct Lost;
//! # thread_local!(static CLOCK: Cell<u64> = const { Cell::new(0) });
//! # fn now_ms() -> u64 { CLOCK.get() }
//! # struct Mqtt { link: Link, message: Option<Message>, online: bool }
//! # impl Mqtt {
//! #     fn connect(&mut self) -> Result<(), Lost> {
//! #         self.link.connect(now_ms());
//! #         self.online = true;
//! #         Ok(())
//! #     }
//! #     fn disconnect(&mut self) -> Result<(), Lost> {
//! #         self.link.disconnect(now_ms());
//! #         self.online = false;
//! #         Ok(())
//! #     }
//! #     fn subscribe(&mut self, filter: &str) -> Result<(), Lost> {
//! #         self.link.subscribe(now_ms(), filter, 1).map(|_| ()).map_err(|_| Lost)
//! #     }
//! #     fn publish(&mut self, topic: &str, payload: &[u8], qos: Qos) -> Result<(), Lost> {
//! #         let qos = u8::from(qos == Qos::AtLeastOnce);
//! #         self.link.publish(now_ms(), topic, payload, qos).map(|_| ()).map_err(|_| Lost)
//! #     }
//! #     fn receive(&mut self, until_ms: u64) -> Result<Option<Received<'_>>, Lost> {
//! #         loop {
//! #             if let Some(message) = self.link.poll(now_ms()) {
//! #                 let message = self.message.insert(message);
//! #                 return Ok(Some(Received { topic: &message.topic, payload: &message.payload }));
//! #             }
//! #             if self.online && !self.link.is_connected() {
//! #                 self.online = false;
//! #                 return Err(Lost);
//! #             }
//! #             let next = self.link.next_event_ms().map_or(until_ms, |at| at.min(until_ms));
//! #             CLOCK.set(next.max(now_ms()));
//! #             self.link.run_until(now_ms());
//! #             if now_ms() >= until_ms { return Ok(None); }
//! #         }
//! #     }
//! # }
//! #
//! # let slot = SlotLayout { start: 0, size: 0x8000, sector_size: 4096, write_size: 8, erased: 0xFF,
//! #     reprogram: Reprogram::Allowed, rewrite: false, erase_ms: 0 };
//! # let images = [ImageLayout::checked(ImageSlots { primary: Geometry::checked(slot), secondary: Geometry::checked(slot),
//! #     mode: BootMode::SwapMove, max_align: MaxAlign::M8, boot_write_size: 8, max_sectors: 8 })];
//! # let flash = || RefCell::new(VecFlash::<8, 4096>::blank(FlashConfig { size: 0x8000, sector_size: 4096, write_size: 8,
//! #     erased: 0xFF, kind: Kind::NorReprogram }).unwrap());
//! # let (primary, secondary) = (flash(), flash());
//! # let image = |major| ImageBuilder::with_random_payload(ota_sim::Version { major, minor: 0, revision: 0, build: 0 }, 10_000, 1)
//! #     .unsigned();
//! # primary.borrow_mut().poke(0, &image(1)).unwrap();
//! # let key = Key::from_seed(1);
//! # let mut service = Service::new(ServiceConfig::default());
//! # service.add_thing("dev-7");
//! # service.create_ota_job(0, "dev-7", "rel-2", &OtaSpec::mqtt(image(2), &key.sign_job_base64(&image(2))));
//! # let mut mqtt = Mqtt { link: Link::new(service, "dev-7", LinkConfig::default()), message: None, online: false };
//! # let mut config = Config::new("dev-7", &images);
//! # config.block_size = 1024;
//! # let (mut strings, mut blocks, mut sectors) = ([0; Memory::STRINGS], [0; 64], [0; 64]);
//! # let memory = Memory { strings: &mut strings, blocks: &mut blocks, sectors: &mut sectors };
//! # let mut agent = Agent::new(config, memory).unwrap();
//! # let keys = [PublicKey::spki(key.public_spki()).unwrap()];
//! # let rules = Rules { job: EcdsaP256::new(&keys).unwrap(), image_keys: &[], reset_vector: None };
//! # let slots = Image::<_, _, 512>::with_unit(SharedFlash::new(&primary), SharedFlash::new(&secondary), images[0]).unwrap();
//! # let mut local = Local::new(slots, NoJournal, rules, DefaultPolicy, NoObserver);
//! # let commands = Commands::new();
//!
//! // Until the new image is in the slot, verified, and MCUboot is asked for the swap.
//! assert_eq!(update(&mut agent, &mut local, &mut mqtt, &commands), Outcome::Reset);
//! # let mut held = vec![0; image(2).len()];
//! # secondary.borrow().peek(0, &mut held).unwrap();
//! # assert!(held == image(2));
//! # assert_eq!(block_on(local.images.inspect(0)).unwrap().request, ota_core::boot::Request::Test);
//! ```

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
