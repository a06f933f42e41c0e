//! The in-memory cloud as a transport of the library, with a virtual clock.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use ota_core::transport::{Connector, Control, Failure, FailureKind, Qos, Received, Timer};
use ota_sim::aws::{Link, Message};
use ota_sim::flash::Supply;

use crate::director::Director;
use crate::scenario::Mangle;

/// Time between a dropped driver and the next, ms.
const DROPPED_MS: u64 = 100;

/// More polls than this at one moment are a loop without end.
const POLLS_MAX: u32 = 200_000;

/// Cloud and clock. When the power is off nothing answers any more.
pub(crate) struct Cloud {
    pub(crate) link: RefCell<Link>,
    pub(crate) clock: Cell<u64>,
    pub(crate) supply: Rc<Supply>,
    /// Connections fail while this is set.
    pub(crate) unreachable: Cell<bool>,
    /// Every operation takes a moment.
    pub(crate) yields: bool,
    /// What a hostile network makes of the messages that arrive.
    mangle: Mangle,
    arrived: Cell<u32>,
    inbox: RefCell<VecDeque<Message>>,
    wake: Cell<Option<u64>>,
}

/// How a run of the driver ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Ran<T> {
    /// It returned.
    Returned(T),
    /// The power went.
    PowerLost,
    /// Nothing would ever happen again, or the time was up.
    Stuck,
    /// It was dropped by request.
    Dropped,
}

impl Cloud {
    pub(crate) fn new(link: Link, supply: Rc<Supply>, yields: bool, mangle: Mangle) -> Self {
        Self {
            link: RefCell::new(link),
            clock: Cell::new(0),
            supply,
            unreachable: Cell::new(false),
            yields,
            mangle,
            arrived: Cell::new(0),
            inbox: RefCell::new(VecDeque::new()),
            wake: Cell::new(None),
        }
    }

    /// Polls `future` to its end, the power's end, `until_ms`, or until the director has it dropped.
    pub(crate) fn drive<F: Future>(
        &self,
        future: Pin<&mut F>,
        until_ms: u64,
        director: &Director<'_>,
    ) -> Ran<F::Output> {
        let mut future = future;
        let (mut moment, mut polls, mut waiting) = (self.clock.get(), 0, false);
        loop {
            if self.clock.get() != moment {
                (moment, polls) = (self.clock.get(), 0);
            }
            polls += 1;
            if polls > POLLS_MAX {
                return Ran::Stuck;
            }
            if director.is_dropped() {
                self.clock.set(self.clock.get() + DROPPED_MS);
                return Ran::Dropped;
            }
            self.wake.set(None);
            let ready = future.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            if self.supply.is_lost() {
                return Ran::PowerLost;
            }
            if let Poll::Ready(output) = ready {
                return Ran::Returned(output);
            }
            let acted = director.turn();
            if self.supply.is_lost() {
                return Ran::PowerLost;
            }
            if acted {
                continue;
            }
            let event = self.link.borrow().next_event_ms();
            // A message that waits while the device does not receive must not hold time still either.
            let at_once = event.is_some_and(|at| at <= self.clock.get());
            let event = event.filter(|_| !(at_once && waiting));
            waiting = at_once;
            let next = [self.wake.get(), event, director.next_ms()].into_iter().flatten().min();
            match next {
                Some(at) if at <= until_ms => self.clock.set(self.clock.get().max(at)),
                Some(_) | None => return Ran::Stuck,
            }
            // An event that concerns nobody who waits (a timer of the service) must not hold time still.
            let now = self.clock.get();
            self.link.borrow_mut().run_until(now);
        }
    }

    /// Lets the driver be polled once more, or dropped, in this place.
    pub(crate) async fn yield_now(&self) {
        let mut yielded = !self.yields;
        poll_fn(|_| {
            if std::mem::replace(&mut yielded, true) {
                return Poll::Ready(());
            }
            self.wake.set(Some(self.clock.get()));
            Poll::Pending
        })
        .await;
    }

    /// Never ends once the power is off.
    async fn powered(&self) {
        self.yield_now().await;
        if self.supply.is_lost() {
            std::future::pending::<()>().await;
        }
    }

    /// The next message, as the network has made it.
    fn next_message(&self) -> Option<Message> {
        loop {
            if let Some(message) = self.inbox.borrow_mut().pop_front() {
                return Some(message);
            }
            let message = self.link.borrow_mut().poll(self.clock.get())?;
            let number = self.arrived.replace(self.arrived.get() + 1);
            self.inbox.borrow_mut().extend((self.mangle)(number, message));
        }
    }
}

/// Why the link failed: it is down.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Down;

impl Failure for Down {
    fn kind(&self) -> FailureKind {
        FailureKind::Lost
    }
}

pub(crate) struct SimConnector<'w>(pub(crate) &'w Cloud);

pub(crate) struct SimLink<'w> {
    cloud: &'w Cloud,
    message: Option<Message>,
}

impl Connector for SimConnector<'_> {
    type Error = Down;
    type Link<'c>
        = SimLink<'c>
    where
        Self: 'c;

    async fn connect(&mut self) -> Result<Self::Link<'_>, Down> {
        self.0.powered().await;
        if self.0.unreachable.get() {
            return Err(Down);
        }
        self.0.link.borrow_mut().connect(self.0.clock.get());
        Ok(SimLink { cloud: self.0, message: None })
    }
}

impl Control for SimLink<'_> {
    type Error = Down;

    async fn subscribe(&mut self, filters: &[(&str, Qos)]) -> Result<(), Down> {
        self.cloud.powered().await;
        for (filter, qos) in filters {
            let qos = u8::from(*qos == Qos::AtLeastOnce);
            self.cloud.link.borrow_mut().subscribe(self.cloud.clock.get(), filter, qos).map_err(|_| Down)?;
        }
        Ok(())
    }

    async fn publish(&mut self, topic: &str, payload: &[u8], qos: Qos) -> Result<(), Down> {
        self.cloud.powered().await;
        let qos = u8::from(qos == Qos::AtLeastOnce);
        trace(self.cloud, '>', topic, payload);
        self.cloud.link.borrow_mut().publish(self.cloud.clock.get(), topic, payload, qos).map_err(|_| Down)
    }

    async fn receive(&mut self) -> Result<Received<'_>, Down> {
        let cloud = self.cloud;
        let message = poll_fn(|_| {
            if cloud.supply.is_lost() {
                return Poll::Pending;
            }
            match cloud.next_message() {
                Some(message) => Poll::Ready(Ok(message)),
                None if !cloud.link.borrow().is_connected() => Poll::Ready(Err(Down)),
                None => Poll::Pending,
            }
        })
        .await?;
        let message = self.message.insert(message);
        trace(cloud, '<', &message.topic, &message.payload);
        Ok(Received { topic: &message.topic, payload: &message.payload })
    }
}

impl Drop for SimLink<'_> {
    fn drop(&mut self) {
        self.cloud.inbox.borrow_mut().clear();
        self.cloud.link.borrow_mut().disconnect(self.cloud.clock.get());
    }
}

fn trace(cloud: &Cloud, direction: char, topic: &str, payload: &[u8]) {
    /// Enough for everything but blocks.
    const SHOWN: usize = 300;
    if crate::is_tracing() {
        let shown = String::from_utf8_lossy(&payload[..payload.len().min(SHOWN)]);
        eprintln!("{} {direction} {topic} {}", cloud.clock.get(), shown.escape_debug());
    }
}

pub(crate) struct SimTimer<'w>(pub(crate) &'w Cloud);

impl Timer for SimTimer<'_> {
    fn now_ms(&mut self) -> u64 {
        self.0.clock.get()
    }

    async fn until(&mut self, at_ms: u64) {
        poll_fn(|_| {
            if self.0.supply.is_lost() {
                return Poll::Pending;
            }
            if self.0.clock.get() >= at_ms {
                return Poll::Ready(());
            }
            let wake = self.0.wake.get().map_or(at_ms, |at| at.min(at_ms));
            self.0.wake.set(Some(wake));
            Poll::Pending
        })
        .await;
    }
}
