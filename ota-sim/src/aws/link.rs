//! One device's MQTT connection to a [`Service`], in virtual time, with faults.
//!
//! The link does what AWS' broker does as far as a device can see it: answers of Jobs arrive without a
//! subscription, QoS 0 messages above 100 a second are discarded, messages larger than the client's receive
//! buffer are withheld, a clean session forgets its subscriptions.

use std::collections::{BTreeMap, VecDeque};

use super::config::LinkConfig;
use super::faults::{flip, truncate};
use super::message::{Counters, Kind, LinkDown, Message, Outgoing, Passing, To};
use super::rng::Rng;
use super::service::Service;
use super::topic::matches;

/// Broker's bound on a PUBLISH payload, bytes.
const PAYLOAD_MAX: usize = 128 * 1024;

/// One device's connection. See the module's example.
///
/// Call the methods with a clock that never goes back. Between calls nothing happens; each call first catches up
/// with everything due until its `now_ms`. [`Link::next_event_ms`] says when to look again.
#[derive(Debug)]
pub struct Link {
    service: Service,
    thing: String,
    config: LinkConfig,
    rng: Rng,
    connected: bool,
    breaks_at_ms: Option<u64>,
    subscriptions: BTreeMap<String, u8>,
    /// By time of arrival and number: to the service, and to the device.
    upward: BTreeMap<(u64, u64), (String, Vec<u8>)>,
    downward: BTreeMap<(u64, u64), Arriving>,
    inbox: VecDeque<Message>,
    queued_offline: Vec<Outgoing>,
    sequence: u64,
    last_up_ms: u64,
    last_down_ms: u64,
    /// When the link is free again, microseconds.
    free_us: u64,
    recent_ms: VecDeque<u64>,
    counters: Counters,
    script: Script,
}

/// Decides about single messages; see [`Link::set_script`].
#[derive(Default)]
struct Script(Option<Box<Judge>>);

type Judge = dyn FnMut(&Passing<'_>) -> Option<u8>;

impl core::fmt::Debug for Script {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(if self.0.is_some() { "Script(..)" } else { "None" })
    }
}

#[derive(Debug)]
struct Arriving {
    message: Message,
    block: bool,
}

impl Link {
    /// A link, not yet connected, between `thing` and a service.
    pub fn new(service: Service, thing: &str, config: LinkConfig) -> Self {
        let rng = Rng::new(config.faults.seed);
        Self {
            service,
            thing: thing.into(),
            config,
            rng,
            connected: false,
            breaks_at_ms: None,
            subscriptions: BTreeMap::new(),
            upward: BTreeMap::new(),
            downward: BTreeMap::new(),
            inbox: VecDeque::new(),
            queued_offline: Vec::new(),
            sequence: 0,
            last_up_ms: 0,
            last_down_ms: 0,
            free_us: 0,
            recent_ms: VecDeque::new(),
            counters: Counters::default(),
            script: Script::default(),
        }
    }

    /// The cloud, to look at.
    pub fn service(&self) -> &Service {
        &self.service
    }

    /// The cloud, to act as its operator (cancel, retry …). Pushes go out with the next call of the link.
    pub fn service_mut(&mut self) -> &mut Service {
        &mut self.service
    }

    /// What happened so far.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// The properties, to be changed at any time (heal the network, cut it for good).
    pub fn config_mut(&mut self) -> &mut LinkConfig {
        &mut self.config
    }

    /// Lets `script` decide how many copies of a message travel on (0: it is lost); `None` leaves it to chance. It
    /// sees every message of both directions once, before the faults: the n-th answer to a status update, say.
    pub fn set_script(&mut self, script: impl FnMut(&Passing<'_>) -> Option<u8> + 'static) {
        self.script = Script(Some(Box::new(script)));
    }

    /// Whether the connection is up at the time of the last call.
    pub fn is_connected(&self) -> bool {
        self.connected
    }

    /// Connects. Nothing happens if the link is up.
    pub fn connect(&mut self, now_ms: u64) {
        self.advance(now_ms);
        if self.connected {
            return;
        }
        self.connected = true;
        let breaks = self.config.faults.disconnect_every_ms.clone();
        self.breaks_at_ms = breaks.map(|range| now_ms + self.rng.between(range));
        for message in core::mem::take(&mut self.queued_offline) {
            self.send_down(now_ms, message);
        }
    }

    /// Closes the connection. What is on its way to the device is gone; of what is on its way to the service, some.
    pub fn disconnect(&mut self, now_ms: u64) {
        self.advance(now_ms);
        self.drop_connection();
    }

    /// Subscribes; effective at once. Subscribing again replaces the QoS.
    pub fn subscribe(&mut self, now_ms: u64, filter: &str, qos: u8) -> Result<(), LinkDown> {
        self.advance(now_ms);
        if !self.connected {
            return Err(LinkDown);
        }
        self.subscriptions.insert(filter.into(), qos);
        Ok(())
    }

    /// Takes a subscription back.
    pub fn unsubscribe(&mut self, now_ms: u64, filter: &str) -> Result<(), LinkDown> {
        self.advance(now_ms);
        if !self.connected {
            return Err(LinkDown);
        }
        self.subscriptions.remove(filter);
        Ok(())
    }

    /// Publishes towards the service. `Ok` says that the message left, not that it arrives, whatever `qos` is:
    /// faults strike both kinds, because a lost answer and a lost request look the same to a device.
    pub fn publish(&mut self, now_ms: u64, topic: &str, payload: &[u8], qos: u8) -> Result<(), LinkDown> {
        self.advance(now_ms);
        if !self.connected || qos > 1 {
            return Err(LinkDown);
        }
        self.counters.published += 1;
        if topic.contains("/streams/") && topic.contains("/get/") {
            self.counters.stream_requests += 1;
        }
        let rates = &self.config.faults.control;
        let mut fate = rates.fate(&mut self.rng);
        if let Some(script) = &mut self.script.0 {
            let passing = Passing { upward: true, topic, payload };
            fate.copies = script(&passing).unwrap_or(fate.copies);
        }
        self.counters.lost += u64::from(fate.copies == 0);
        self.counters.doubled += u64::from(fate.copies > 1);
        self.counters.reordered += u64::from(fate.reordered && fate.copies > 0);
        for _ in 0..fate.copies {
            let mut due_ms = (now_ms + self.rng.between(rates.delay_ms.clone())).max(self.last_up_ms);
            if fate.reordered {
                due_ms += self.rng.between(1..=rates.reorder_ms.max(1));
            } else {
                self.last_up_ms = due_ms;
            }
            self.sequence += 1;
            self.upward.insert((due_ms, self.sequence), (topic.into(), payload.to_vec()));
        }
        self.advance(now_ms);
        Ok(())
    }

    /// The next message that has arrived by `now_ms`. After the link broke, messages that arrived before are
    /// still handed out; then `None`, and [`Link::is_connected`] is false.
    pub fn poll(&mut self, now_ms: u64) -> Option<Message> {
        self.advance(now_ms);
        self.inbox.pop_front()
    }

    /// Lets everything happen that is due by `now_ms`; messages that arrive wait to be polled.
    pub fn run_until(&mut self, now_ms: u64) {
        self.advance(now_ms);
    }

    /// Runs time forward from `now_ms` to the next message, but not beyond `until_ms` and not beyond the
    /// moment the link breaks; gives the time reached.
    pub fn receive(&mut self, now_ms: u64, until_ms: u64) -> (u64, Option<Message>) {
        let mut at_ms = now_ms;
        loop {
            if let Some(message) = self.poll(at_ms) {
                return (at_ms, Some(message));
            }
            match self.next_event_ms().filter(|_| self.connected) {
                Some(next_ms) if next_ms <= until_ms => at_ms = at_ms.max(next_ms),
                Some(_) | None => return (if self.connected { until_ms.max(at_ms) } else { at_ms }, None),
            }
        }
    }

    /// When something happens next: a message arrives, the link breaks, a timer of the service fires.
    /// A time that has passed means at once; `None` means that nothing will happen by itself.
    pub fn next_event_ms(&self) -> Option<u64> {
        if !self.inbox.is_empty() {
            return Some(0);
        }
        let up = self.upward.keys().next().map(|key| key.0);
        let down = self.downward.keys().next().map(|key| key.0);
        let breaks = self.breaks_at_ms.filter(|_| self.connected);
        [up, down, breaks, self.service.next_event_ms()].into_iter().flatten().min()
    }

    /// Lets everything happen that is due until `now_ms`, in order of time.
    fn advance(&mut self, now_ms: u64) {
        loop {
            let up = self.upward.keys().next().map(|key| (key.0, Event::Up));
            let down = self.downward.keys().next().map(|key| (key.0, Event::Down));
            let breaks = self.breaks_at_ms.filter(|_| self.connected).map(|at_ms| (at_ms, Event::Break));
            let timer = self.service.next_event_ms().map(|at_ms| (at_ms, Event::Timer));
            let events = [timer, down, up, breaks].into_iter().flatten();
            let Some((at_ms, event)) = events.min_by_key(|event| event.0).filter(|event| event.0 <= now_ms)
            else {
                return;
            };
            match event {
                // Pushes of the operator carry no time of their own; they go out now.
                Event::Timer => {
                    let at_ms = if at_ms == 0 { now_ms } else { at_ms };
                    let messages = self.service.tick(at_ms);
                    self.send_all_down(at_ms, messages);
                }
                Event::Up => {
                    if let Some(((at_ms, _), (topic, payload))) = self.upward.pop_first() {
                        let messages = self.service.publish(at_ms, &self.thing, &topic, &payload);
                        self.send_all_down(at_ms, messages);
                    }
                }
                Event::Down => {
                    if let Some((_, arriving)) = self.downward.pop_first() {
                        self.counters.delivered += 1;
                        self.counters.blocks_delivered += u64::from(arriving.block);
                        self.inbox.push_back(arriving.message);
                    }
                }
                Event::Break => self.drop_connection(),
            }
        }
    }

    fn drop_connection(&mut self) {
        if !core::mem::replace(&mut self.connected, false) {
            return;
        }
        self.counters.disconnects += 1;
        self.breaks_at_ms = None;
        self.counters.lost += self.downward.len() as u64;
        self.downward.clear();
        // Whether a request on its way was still read by the broker is chance, as in the field.
        for (key, message) in core::mem::take(&mut self.upward) {
            if self.rng.chance(50) {
                self.upward.insert(key, message);
            } else {
                self.counters.lost += 1;
            }
        }
        if !self.config.persistent_session {
            self.subscriptions.clear();
        }
    }

    fn send_all_down(&mut self, at_ms: u64, messages: Vec<Outgoing>) {
        for message in messages {
            if message.thing == self.thing {
                self.send_down(at_ms, message);
            }
        }
    }

    fn send_down(&mut self, at_ms: u64, outgoing: Outgoing) {
        let block = matches!(outgoing.kind, Kind::Block { .. });
        self.counters.blocks_sent += u64::from(block);
        let granted = self.subscriptions.iter().filter(|(filter, _)| matches(filter, &outgoing.topic));
        let subscribed = granted.map(|(_, qos)| *qos).max();
        let direct = outgoing.to == To::Requester && self.config.implicit_answers;
        if !self.connected {
            if self.config.persistent_session && subscribed == Some(1) && outgoing.qos == 1 {
                self.queued_offline.push(outgoing);
            } else {
                self.counters.lost += 1;
            }
            return;
        }
        if !direct && subscribed.is_none() {
            self.counters.unsubscribed += 1;
            return;
        }
        let size = outgoing.packet_size();
        let too_large = self.config.max_packet_size.is_some_and(|max| size > max);
        if too_large || outgoing.payload.len() > PAYLOAD_MAX {
            self.counters.withheld += 1;
            return;
        }
        let from_ms = at_ms.max(outgoing.not_before_ms);
        if !self.within_rate(from_ms, block) {
            self.counters.discarded += 1;
            return;
        }
        self.spread(from_ms, size, &outgoing, block);
    }

    /// The broker's message rate over a sliding second. Only blocks are discarded; the rest is QoS 1.
    fn within_rate(&mut self, at_ms: u64, block: bool) -> bool {
        let Some(limit) = self.config.messages_per_s else { return true };
        while self.recent_ms.front().is_some_and(|sent_ms| sent_ms + 1000 <= at_ms) {
            self.recent_ms.pop_front();
        }
        if block && self.recent_ms.len() >= limit as usize {
            return false;
        }
        self.recent_ms.push_back(at_ms);
        true
    }

    /// Throughput, faults and travel time of one message.
    fn spread(&mut self, from_ms: u64, size: usize, outgoing: &Outgoing, block: bool) {
        if let Some(bytes_per_s) = self.config.bytes_per_s {
            let takes_us = size as u64 * 1_000_000 / u64::from(bytes_per_s.max(1));
            self.free_us = self.free_us.max(from_ms * 1000) + takes_us;
        }
        let sent_ms = from_ms.max(self.free_us / 1000);
        let rates = self.config.faults.rates(&outgoing.kind);
        let mut fate = rates.fate(&mut self.rng);
        if let Some(script) = &mut self.script.0 {
            let passing = Passing { upward: false, topic: &outgoing.topic, payload: &outgoing.payload };
            fate.copies = script(&passing).unwrap_or(fate.copies);
        }
        self.counters.lost += u64::from(fate.copies == 0);
        self.counters.doubled += u64::from(fate.copies > 1);
        let arrives = fate.copies > 0;
        self.counters.reordered += u64::from(fate.reordered && arrives);
        self.counters.flipped += u64::from(fate.flipped && arrives);
        self.counters.truncated += u64::from(fate.truncated && arrives);
        for _ in 0..fate.copies {
            let mut due_ms = (sent_ms + self.rng.between(rates.delay_ms.clone())).max(self.last_down_ms);
            if fate.reordered {
                due_ms += self.rng.between(1..=rates.reorder_ms.max(1));
            } else {
                self.last_down_ms = due_ms;
            }
            let mut payload = outgoing.payload.clone();
            if fate.flipped {
                flip(&mut self.rng, &mut payload, &outgoing.kind, self.config.faults.flip_target);
            }
            if fate.truncated {
                truncate(&mut self.rng, &mut payload);
            }
            self.sequence += 1;
            let message = Message { topic: outgoing.topic.clone(), payload };
            self.downward.insert((due_ms, self.sequence), Arriving { message, block });
        }
    }
}

#[derive(Clone, Copy)]
enum Event {
    Timer,
    Down,
    Up,
    Break,
}
