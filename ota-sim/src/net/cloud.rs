//! The service in real time, shared by the broker's tasks, and the faults on its block messages.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::watch;

use crate::aws::{FaultRates, FlipTarget, Kind, Outgoing, Rng, Service, damage};

/// A [`Service`] with a clock. Cheap to clone; all clones are the same.
#[derive(Clone)]
pub(crate) struct Cloud {
    shared: Arc<Shared>,
}

struct Shared {
    service: Mutex<Service>,
    started: Instant,
    /// Counts everything that may have changed an execution; watchers look again.
    revision: watch::Sender<u64>,
}

impl Cloud {
    pub(crate) fn new(service: Service) -> Self {
        let (revision, _) = watch::channel(0);
        Self { shared: Arc::new(Shared { service: Mutex::new(service), started: Instant::now(), revision }) }
    }

    /// Works on the service with the time of now; watchers are woken.
    pub(crate) fn with<T>(&self, work: impl FnOnce(&mut Service, u64) -> T) -> T {
        let now_ms = self.shared.started.elapsed().as_millis() as u64;
        let result = work(&mut self.lock(), now_ms);
        self.shared.revision.send_modify(|revision| *revision += 1);
        result
    }

    /// Looks at the service.
    pub(crate) fn look<T>(&self, work: impl FnOnce(&Service) -> T) -> T {
        work(&self.lock())
    }

    pub(crate) fn watch(&self) -> watch::Receiver<u64> {
        self.shared.revision.subscribe()
    }

    /// Timers and pushes; watchers are woken only if there were any.
    pub(crate) fn tick(&self) -> Vec<Outgoing> {
        let now_ms = self.shared.started.elapsed().as_millis() as u64;
        let due = self.look(|service| service.next_event_ms().is_some_and(|at_ms| at_ms <= now_ms));
        if due { self.with(Service::tick) } else { Vec::new() }
    }

    /// A panic of another task while it held the lock leaves data that is still worth showing.
    fn lock(&self) -> MutexGuard<'_, Service> {
        self.shared.service.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Seeded faults on block messages of a request, before they reach the broker.
pub(crate) struct BlockFaults {
    rng: Rng,
    rates: FaultRates,
    target: FlipTarget,
}

/// How many blocks may overtake a reordered one.
const REORDER_PLACES: u64 = 8;

impl BlockFaults {
    pub(crate) fn new(seed: u64, rates: FaultRates, target: FlipTarget) -> Self {
        Self { rng: Rng::new(seed), rates, target }
    }

    /// The messages of one request as they shall leave: some lost, doubled, damaged, out of order.
    pub(crate) fn apply(&mut self, messages: Vec<Outgoing>) -> Vec<Outgoing> {
        let mut placed = Vec::new();
        for (place, message) in messages.into_iter().enumerate() {
            if !matches!(message.kind, Kind::Block { .. }) {
                placed.push((place as u64, message));
                continue;
            }
            for (late, copy) in damage(&mut self.rng, &self.rates, self.target, &message) {
                let place = place as u64 + if late { self.rng.between(1..=REORDER_PLACES) } else { 0 };
                placed.push((place, copy));
            }
        }
        placed.sort_by_key(|(place, _)| *place);
        placed.into_iter().map(|(_, message)| message).collect()
    }
}
