//! The in-memory cloud as a transport of the library, with a virtual clock.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use ota_core::transport::{Connector, Control, Failure, FailureKind, Qos, Received, Timer};
use ota_sim::aws::{Link, Message};
use ota_sim::flash::Supply;

/// Cloud and clock. When the power is off nothing answers any more.
pub(crate) struct Cloud {
    pub(crate) link: RefCell<Link>,
    pub(crate) clock: Cell<u64>,
    wake: Cell<Option<u64>>,
    supply: Rc<Supply>,
    /// Connections fail while this is set.
    pub(crate) unreachable: Cell<bool>,
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
    pub(crate) fn new(link: Link, supply: Rc<Supply>) -> Self {
        Self {
            link: RefCell::new(link),
            clock: Cell::new(0),
            wake: Cell::new(None),
            supply,
            unreachable: Cell::new(false),
        }
    }

    /// Polls `future` to its end, the power's end, `until_ms`, or after `polls` polls.
    pub(crate) fn drive<F: Future>(
        &self,
        future: Pin<&mut F>,
        until_ms: u64,
        polls: Option<u32>,
    ) -> Ran<F::Output> {
        let mut future = future;
        let mut polled = 0;
        loop {
            if polls.is_some_and(|most| polled >= most) {
                return Ran::Dropped;
            }
            polled += 1;
            self.wake.set(None);
            let ready = future.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            if self.supply.is_lost() {
                return Ran::PowerLost;
            }
            if let Poll::Ready(output) = ready {
                return Ran::Returned(output);
            }
            let event = self.link.borrow().next_event_ms();
            let next = [self.wake.get(), event].into_iter().flatten().min();
            match next {
                Some(at) if at <= until_ms => self.clock.set(self.clock.get().max(at)),
                Some(_) | None => return Ran::Stuck,
            }
            // An event that concerns nobody who waits (a timer of the service) must not hold time still.
            let now = self.clock.get();
            self.link.borrow_mut().run_until(now);
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

impl Cloud {
    /// Never ends once the power is off.
    async fn powered(&self) {
        if self.supply.is_lost() {
            std::future::pending::<()>().await;
        }
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
        if std::env::var_os("TRACE").is_some() {
            eprintln!("{} > {topic} {}", self.cloud.clock.get(), String::from_utf8_lossy(payload));
        }
        self.cloud.link.borrow_mut().publish(self.cloud.clock.get(), topic, payload, qos).map_err(|_| Down)
    }

    async fn receive(&mut self) -> Result<Received<'_>, Down> {
        let cloud = self.cloud;
        let message = poll_fn(|_| {
            if cloud.supply.is_lost() {
                return Poll::Pending;
            }
            let mut link = cloud.link.borrow_mut();
            match link.poll(cloud.clock.get()) {
                Some(message) => {
                    if std::env::var_os("TRACE").is_some() {
                        eprintln!(
                            "{} < {} {}",
                            cloud.clock.get(),
                            message.topic,
                            String::from_utf8_lossy(&message.payload[..message.payload.len().min(300)])
                        );
                    }
                    Poll::Ready(Ok(message))
                }
                None if !link.is_connected() => Poll::Ready(Err(Down)),
                None => Poll::Pending,
            }
        })
        .await?;
        let message = self.message.insert(message);
        Ok(Received { topic: &message.topic, payload: &message.payload })
    }
}

impl Drop for SimLink<'_> {
    fn drop(&mut self) {
        self.cloud.link.borrow_mut().disconnect(self.cloud.clock.get());
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
