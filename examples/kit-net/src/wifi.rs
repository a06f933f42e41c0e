//! The Wi-Fi network: up, joined, with an address, and up again whenever it is gone. Every failure has its name.
//!
//! ```text
//!  Module::session ─► Station::set_up ─► Station::join ─► an address ─► all is well
//!        ▲                    │             ▲   │            │               │ lost, and not back in time
//!        │                    │             └─pause◄─────────┴───────────────┘
//!        └───────pause◄───────┴── after five attempts in a row, or when the chip is broken
//! ```
//!
//! A pause is twice the one before, from 1 s to 60 s, until there was an address.

use ota_core::transport::Timer;
use ota_psoc6::wifi::{Broken, JoinError, StartError};

use crate::{
    network::{Network, Reach, reached},
    pace::{Pace, pause, within},
};

/// The first pause after a failure, and the longest.
pub const PAUSE_MS: [u32; 2] = [1_000, 60_000];
/// The chip's own set-up after its start takes about a second.
pub const SET_UP_MS: u32 = 10_000;
/// One attempt to join.
pub const JOIN_MS: u32 = 20_000;
/// From joined to an address, or from lost to back again. The chip joins by itself after a loss of signal, and DHCP asks
/// about every ten seconds.
pub const REACH_MS: u32 = 45_000;
/// Attempts in a row that did not lead to an address, before the module is switched off and on.
pub const TRIES: u32 = 5;

/// Why the network is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The module did not come up.
    Start(StartError),
    /// The chip did not answer the requests of its set-up.
    SetUp,
    /// The network was not joined.
    Join(JoinError),
    /// Joined, but the link did not come, or went and did not come back.
    NoLink,
    /// DHCP does not answer.
    NoAddress,
    /// The chip, or the bus to it, stopped working.
    Broken(Broken),
}

impl Failure {
    /// Trying again cannot help: it takes another build.
    pub const fn is_final(self) -> bool {
        matches!(
            self,
            Self::Start(StartError::Blob(_) | StartError::Unsupported(_))
                | Self::Join(JoinError::Credentials)
        )
    }
}

/// What happens, for the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The access point took us.
    Joined,
    /// There is an address.
    Reached,
    /// There was an address. What is left, while it may come back by itself.
    Lost(Reach),
    /// An attempt failed. The next one begins after the pause.
    Failed {
        /// Why.
        why: Failure,
        /// Attempts in a row, of [`TRIES`].
        attempt: u32,
        /// The pause.
        pause_ms: u32,
    },
    /// The module is switched off and, after the pause, on again.
    Anew {
        /// Why.
        why: Failure,
        /// The pause.
        pause_ms: u32,
    },
    /// There will be no Wi-Fi with this build.
    GivenUp(Failure),
}

/// The Wi-Fi module.
#[allow(async_fn_in_trait)] // One executor, one thread.
pub trait Module {
    /// From a module without power to its end, for whatever reason: switches it off and on, starts it, and lets
    /// [`Keeper::keep_joined`] run on it.
    ///
    /// Must end within seconds if the module does not come up.
    async fn session<N: Network, T: Timer + Copy>(&mut self, keeper: &mut Keeper<'_, N, T>) -> Failure;
}

/// A module that was started.
#[allow(async_fn_in_trait)] // One executor, one thread.
pub trait Station {
    /// Sets the chip up. May be dropped, which ends the session.
    async fn set_up(&mut self);

    /// One attempt to join. May be dropped: the next one replaces it.
    ///
    /// # Errors
    /// See [`JoinError`].
    async fn join(&mut self) -> Result<(), JoinError>;
}

/// Keeps the network up.
pub struct Keeper<'r, N, T> {
    net: N,
    timer: T,
    pace: Pace,
    report: &'r mut dyn FnMut(Event),
}

impl<'r, N: Network, T: Timer + Copy> Keeper<'r, N, T> {
    /// Of the network `net`, with the clock `timer` (copies of it are the same clock). The seed: see [`Pace::new`].
    pub fn new(net: N, timer: T, seed: u64, report: &'r mut dyn FnMut(Event)) -> Self {
        Self { net, timer, pace: Pace::new(PAUSE_MS[0], PAUSE_MS[1], seed), report }
    }

    /// Session after session. Returns only what [cannot get better](Failure::is_final).
    pub async fn run(mut self, module: &mut impl Module) -> Failure {
        loop {
            let why = module.session(&mut self).await;
            if why.is_final() {
                (self.report)(Event::GivenUp(why));
                return why;
            }
            let pause_ms = self.pace.pause_ms();
            (self.report)(Event::Anew { why, pause_ms });
            pause(self.timer, pause_ms).await;
        }
    }

    /// Sets the chip up, joins, waits for an address, and looks after all of that. Ends when it is time to begin anew.
    pub async fn keep_joined(&mut self, station: &mut impl Station) -> Failure {
        if within(self.timer, SET_UP_MS, station.set_up()).await.is_none() {
            return Failure::SetUp;
        }
        let mut attempt = 0;
        loop {
            attempt += 1;
            let joined = within(self.timer, JOIN_MS, station.join()).await;
            let why = match joined.unwrap_or(Err(JoinError::Timeout)) {
                Ok(()) => {
                    (self.report)(Event::Joined);
                    self.watch(&mut attempt).await
                }
                Err(error) => Failure::Join(error),
            };
            if attempt >= TRIES || why.is_final() {
                return why;
            }
            let pause_ms = self.pace.pause_ms();
            (self.report)(Event::Failed { why, attempt, pause_ms });
            pause(self.timer, pause_ms).await;
        }
    }

    /// Until there was no address for too long. Once there was one, this attempt counts as the first, and pauses begin anew.
    async fn watch(&mut self, attempt: &mut u32) -> Failure {
        while within(self.timer, REACH_MS, reached(&self.net)).await.is_some() {
            *attempt = 1;
            self.pace.reset();
            (self.report)(Event::Reached);
            self.net.changed(Reach::Address).await;
            (self.report)(Event::Lost(self.net.reach()));
        }
        match self.net.reach() {
            Reach::NoLink => Failure::NoLink,
            Reach::NoAddress | Reach::Address => Failure::NoAddress,
        }
    }
}
