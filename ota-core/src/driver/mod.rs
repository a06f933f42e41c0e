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
//! use ota_core::driver::{Held, Local};
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
//!                         let held = local.receive(agent, now_ms(), &received, &mut buffer);
//!                         action = *agent.action();
//!                         // The message stays in the client's buffer until flash holds what it brought.
//!                         while Local::<I, J, P, O, S>::can_perform(&action) {
//!                             let done = block_on(local.perform(agent, &held));
//!                             action = local.step_with(agent, now_ms(), done);
//!                         }
//!                         continue;
//!                     }
//!                 },
//!             },
//!             _flash_or_policy => {
//!                 let done = block_on(local.perform(agent, &Held::NONE));
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
//! # let mut agent = Agent::new(&config, memory).unwrap();
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

use core::future::pending;
use core::pin::{Pin, pin};

use embassy_futures::select::{Either, Either4, select, select4};

use crate::agent::{
    Action, Agent, Failure, Filters, Input, Message, Outcome, Publication, RangeRequest, Subscription,
    TopicBuffer,
};
use crate::boot::Images;
use crate::command::Commands;
use crate::journal::Journal;
use crate::policy::{Observer, Policy};
use crate::transport::{
    Connector, Control, FailureKind, Qos, RangeError, RangeSession, Ranges, Received, Timer,
};
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
/// operation. Let the future live longer than the longest erase: 32 flash actions lost in a row, without the job getting any
/// further, end it ([`FlashError::Unfinished`](crate::slot::FlashError::Unfinished)), for flash wears out.
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
            Action::Connect => {
                ranges.release();
                // By a pointer, so that the room on the stack through which a new link is moved is a frame of its own, gone when
                // the link is made. As part of this one it would lie under all that is done with the link.
                let made = {
                    let making: Pin<&mut dyn Future<Output = _>> = pin!(connector.connect());
                    making.await
                };
                match made {
                    Ok(mut link) => {
                        let first = desk.step(Input::Done);
                        online(&mut desk, &mut link, ranges, block, first).await
                    }
                    Err(_) => desk.step(Input::Failed(Failure::Link)),
                }
            }
            Action::Disconnect | Action::CloseRange => desk.step(Input::Done),
            // With memory for one session only, ranges are read while there is no link.
            Action::OpenRange(request) => {
                connector.release();
                ranged(&mut desk, None::<&mut C::Link<'_>>, ranges, block, request).await
            }
            Action::Subscribe(_) | Action::Publish(_) | Action::Receive { .. } => {
                desk.step(Input::Failed(Failure::Link))
            }
            action => desk.work(action).await,
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
        // Nothing to wait for but the link: the way of `ranged`, without a range.
        action = match desk.beside(Some(link), action, pin!(pending())).await {
            Ok(_never) => action,
            Err(Action::OpenRange(request)) => ranged(desk, Some(link), ranges, block, request).await,
            Err(Action::CloseRange) => desk.step(Input::Done),
            Err(action @ (Action::Disconnect | Action::Finish(_))) => {
                // A farewell spares the broker a time-out; the link is dropped either way.
                let latest = desk.timer.now_ms() + FAREWELL_MS;
                let _ = select(link.disconnect(), desk.timer.until(latest)).await;
                return action;
            }
            Err(action) => return action,
        };
    }
}

/// Takes the blocks of ranges in over one connection, while the link, if there is one, goes on being served. Returns the
/// first action the connection has no part in, and drops the connection with it.
async fn ranged<L, R, I, J, P, O, T, S>(
    desk: &mut Desk<'_, '_, '_, I, J, P, O, T, S>,
    mut link: Option<&mut L>,
    ranges: &mut R,
    block: &mut [u8],
    first: RangeRequest,
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
    let target = ranges.target(desk.agent.url(first.file));
    let action = desk.step(Input::Done);
    let mut session = None;
    let connecting = async {
        target?;
        session = Some(ranges.connect().await?);
        Ok(())
    };
    let connected = desk.beside(link.as_deref_mut(), action, pin!(connecting)).await;
    // Connected is what has a session.
    let mut session = match connected.map(|done| done.and(session.ok_or(RangeError::Lost))) {
        Ok(Ok(session)) => session,
        Ok(Err(error)) => return desk.step(Input::Message(&Message::RangeFailed(error))),
        Err(action) => return action,
    };
    let mut request = first;
    // The agent is receiving; what it would time out at it says again.
    let mut action = Action::Receive { until_ms: desk.timer.now_ms() };
    loop {
        let asked = session.request(desk.agent.url(request.file), request.from, request.to, request.size);
        if let Err(error) = asked {
            return desk.step(Input::Message(&Message::RangeFailed(error)));
        }
        let mut at = request.from;
        while at < request.to {
            let len = (request.to - at).min(desk.agent.config().block_size);
            let Some(place) = block.get_mut(..len as usize) else {
                return desk.step(Input::Message(&Message::RangeFailed(RangeError::Refused)));
            };
            match desk.beside(link.as_deref_mut(), action, pin!(session.read(place))).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => return desk.step(Input::Message(&Message::RangeFailed(error))),
                Err(action) => return action,
            }
            at += len;
            let data = block.get(..len as usize).unwrap_or(&[]);
            desk.step(Input::Message(&Message::RangeBlock { data }));
            let held = Held { block: data, payload: &[] };
            action = in_hand(desk.agent, desk.local, desk.timer, &held).await;
        }
        // Kept for the next range, should there be one.
        request = loop {
            match desk.beside(link.as_deref_mut(), action, pin!(pending())).await {
                Ok(_never) => {}
                Err(Action::OpenRange(next)) => break next,
                Err(action) => return action,
            }
        };
        action = desk.step(Input::Done);
    }
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
    async fn work(&mut self, action: Action) -> Action {
        if let Action::Pause { until_ms } = action {
            return match select(self.commands.next(), self.timer.until(until_ms)).await {
                Either::First(command) => self.step(Input::Command(command)),
                Either::Second(()) => self.step(Input::Timeout),
            };
        }
        let completion = self.local.perform(self.agent, &Held::NONE).await;
        self.local.step_with(self.agent, self.timer.now_ms(), completion)
    }

    /// An action that is done with once the link has taken it.
    async fn work_online<L: Control>(&mut self, link: Option<&mut L>, action: Action) -> Action {
        let input = match (action, link) {
            (Action::Subscribe(subscription), Some(link)) => subscribe(self.agent, link, subscription).await,
            (Action::Publish(publication), Some(link)) => {
                publish(self.agent, link, &publication, self.buffer).await
            }
            (Action::Subscribe(_) | Action::Publish(_), None) => Input::Failed(Failure::Link),
            (action, _) => return self.work(action).await,
        };
        self.step(input)
    }

    /// Polls `reading` beside the link, which goes on being served, until it is ready and the agent is receiving. The error is
    /// the first action that ends what the future is part of; the future was not dropped for anything else.
    ///
    /// One function for all that is read: each type of future would be a copy of it in flash.
    async fn beside<L: Control>(
        &mut self,
        mut link: Option<&mut L>,
        first: Action,
        mut reading: Pin<&mut dyn Future<Output = Result<(), RangeError>>>,
    ) -> Result<Result<(), RangeError>, Action> {
        let mut action = first;
        loop {
            action = match action {
                Action::Connect
                | Action::Disconnect
                | Action::Finish(_)
                | Action::OpenRange(_)
                | Action::CloseRange => return Err(action),
                Action::Receive { until_ms } => match self.commands.take() {
                    Some(command) => self.step(Input::Command(command)),
                    None => {
                        let (timeout, words) = (self.timer.until(until_ms), self.commands.next());
                        match select4(reading.as_mut(), receive(link.as_deref_mut()), timeout, words).await {
                            Either4::First(output) => return Ok(output),
                            Either4::Second(received) => self.received(received).await,
                            Either4::Third(()) => self.step(Input::Timeout),
                            Either4::Fourth(command) => self.step(Input::Command(command)),
                        }
                    }
                },
                action => self.work_online(link.as_deref_mut(), action).await,
            };
        }
    }

    /// What the link brought. Whatever needs no link is done with the message still in hand.
    async fn received<E: crate::transport::Failure>(&mut self, received: Result<Received<'_>, E>) -> Action {
        match received {
            Ok(received) if received.is_taken() => self.step(Input::Done),
            Ok(received) => {
                // `held` may borrow the desk's scratch, so the rest of the desk is named one by one.
                let held = self.local.receive(self.agent, self.timer.now_ms(), &received, self.buffer);
                in_hand(self.agent, self.local, self.timer, &held).await
            }
            Err(error) => match error.kind() {
                FailureKind::Lost => self.step(Input::Failed(Failure::Link)),
                // An earlier request was refused: its answer will not come, and is asked for again.
                FailureKind::Busy | FailureKind::Refused | FailureKind::TooLarge => self.step(Input::Done),
            },
        }
    }
}

/// All that needs no link, with a message in hand.
async fn in_hand<I: Images, J: Journal, P: Policy, O: Observer, T: Timer, S: Scheme>(
    agent: &mut Agent<'_>,
    local: &mut Local<'_, I, J, P, O, S>,
    timer: &mut T,
    held: &Held<'_>,
) -> Action {
    while Local::<I, J, P, O, S>::can_perform(agent.action()) {
        let completion = local.perform(agent, held).await;
        local.step_with(agent, timer.now_ms(), completion);
    }
    *agent.action()
}

/// What the link brings; nothing, without one.
async fn receive<L: Control>(link: Option<&mut L>) -> Result<Received<'_>, L::Error> {
    match link {
        Some(link) => link.receive().await,
        None => pending().await,
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
