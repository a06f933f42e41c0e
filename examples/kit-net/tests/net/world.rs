//! A kit on a desk: module, access point, DHCP, DNS, time server, watchdog, and an update that works beside them.

use std::{
    cell::{Cell, RefCell},
    future::{pending, poll_fn},
    task::Poll,
};

use embassy_futures::{
    join::join5,
    select::{Either, select},
};
use kit_net::{
    Network, Reach,
    beat::beat,
    time::{self, PACKET_SIZE, TimeServer},
    wifi::{self, Failure, Keeper, Module, Station},
};
use ota_core::transport::Timer as _;
use ota_psoc6::wifi::{Broken, JoinError, StartError};

use crate::clock::Clock;

/// When the firmware of this world was built, and the time its server tells.
pub(crate) const BUILT_AT_S: u64 = 1_700_000_000;
pub(crate) const TIME_S: u32 = 1_800_000_000;

/// What an access point does with a wish to join.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Air {
    Takes,
    Refuses(JoinError),
    /// Says nothing, ever.
    Silent,
}

/// What a time server makes of a question, and the length of that. `None`: it is silent.
pub(crate) type Server = fn(&mut [u8]) -> Option<usize>;

/// What works and what does not. The default: everything does.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Weather {
    pub start: Result<(), StartError>,
    pub sets_up: bool,
    pub air: Air,
    /// The link of a station that joined.
    pub link: bool,
    pub dhcp: bool,
    /// `None`: nobody answers. `Some(false)`: there is no such name.
    pub dns: Option<bool>,
    pub socket: bool,
    pub server: Server,
    /// The bus fails as soon as the chip runs.
    pub broken: Option<Broken>,
}

impl Default for Weather {
    fn default() -> Self {
        Self {
            start: Ok(()),
            sets_up: true,
            air: Air::Takes,
            link: true,
            dhcp: true,
            dns: Some(true),
            socket: true,
            server: crate::answers::good,
            broken: None,
        }
    }
}

/// The desk.
#[derive(Default)]
pub(crate) struct World {
    pub clock: Clock,
    pub weather: Cell<Weather>,
    joined: Cell<bool>,
    /// Everything that was reported, with its time.
    pub wifi: RefCell<Vec<(u64, wifi::Event)>>,
    pub time: RefCell<Vec<(u64, time::Event)>>,
    /// Milliseconds at which the module was switched on, and at which it was told to join.
    pub starts: RefCell<Vec<u64>>,
    pub joins: RefCell<Vec<u64>>,
    fed_at: Cell<u64>,
    /// The longest time nobody fed the watchdog.
    pub longest_gap: Cell<u64>,
    /// Times the application ran.
    pub beats: Cell<u32>,
}

impl World {
    pub(crate) fn reported(&self, what: impl Fn(&wifi::Event) -> bool) -> usize {
        self.wifi.borrow().iter().filter(|(_, event)| what(event)).count()
    }

    pub(crate) fn is_reached(&self) -> bool {
        let events = self.wifi.borrow();
        let last = events.iter().rev().find(|(_, event)| {
            matches!(event, wifi::Event::Reached | wifi::Event::Lost(_) | wifi::Event::Anew { .. })
        });
        matches!(last, Some((_, wifi::Event::Reached)))
    }

    /// The firmware, up to a time. What the last call left half done is gone, as after a reset.
    pub(crate) fn run_until(&self, end_ms: u64, script: impl AsyncFn(&Self)) {
        self.joined.set(false);
        self.fed_at.set(self.clock.now());
        let mut wifi_line = |event| self.wifi.borrow_mut().push((self.clock.now(), event));
        let time_line = |event| self.time.borrow_mut().push((self.clock.now(), event));
        let keeper = Keeper::new(self, &self.clock, 1, &mut wifi_line);
        let (mut module, mut server) = (self, self);
        let firmware = join5(
            beat(&self.clock, || self.feed()),
            async {
                keeper.run(&mut module).await;
                pending::<()>().await
            },
            time::keep(&mut server, &self, &self.clock, BUILT_AT_S, 2, time_line),
            self.update(),
            async {
                script(self).await;
                pending::<()>().await
            },
        );
        self.clock.run_until(end_ms, firmware);
        self.feed();
    }

    fn feed(&self) {
        let gap = self.clock.now() - self.fed_at.replace(self.clock.now());
        self.longest_gap.set(self.longest_gap.get().max(gap));
        self.beats.set(self.beats.get() + 1);
    }

    /// What else keeps the processor: a row of internal flash (20 ms) every 100 ms, and now and then a handshake's arithmetic.
    async fn update(&self) {
        for turn in 1.. {
            self.sleep(100).await;
            self.clock.work(if turn % 100 == 0 { 1_500 } else { 20 });
        }
    }

    pub(crate) async fn sleep(&self, ms: u64) {
        (&mut &self.clock).until(self.clock.now() + ms).await;
    }
}

impl Network for &World {
    fn reach(&self) -> Reach {
        let weather = self.weather.get();
        match (self.joined.get() && weather.link, weather.dhcp) {
            (false, _) => Reach::NoLink,
            (true, false) => Reach::NoAddress,
            (true, true) => Reach::Address,
        }
    }

    async fn changed(&self, from: Reach) {
        poll_fn(|_| if self.reach() == from { Poll::Pending } else { Poll::Ready(()) }).await;
    }
}

impl Module for &World {
    async fn session<N: Network, T: ota_core::transport::Timer + Copy>(
        &mut self,
        keeper: &mut Keeper<'_, N, T>,
    ) -> Failure {
        self.joined.set(false);
        self.starts.borrow_mut().push(self.clock.now());
        // The module's power sequence, then its firmware over the bus.
        self.sleep(300).await;
        self.clock.work(200);
        if let Err(error) = self.weather.get().start {
            return Failure::Start(error);
        }
        let mut station = *self;
        let broken = poll_fn(|_| match self.weather.get().broken {
            Some(broken) => Poll::Ready(broken),
            None => Poll::Pending,
        });
        let failure = match select(keeper.keep_joined(&mut station), broken).await {
            Either::First(failure) => failure,
            Either::Second(broken) => Failure::Broken(broken),
        };
        self.joined.set(false);
        failure
    }
}

impl Station for &World {
    async fn set_up(&mut self) {
        self.sleep(900).await;
        if !self.weather.get().sets_up {
            pending::<()>().await;
        }
    }

    async fn join(&mut self) -> Result<(), JoinError> {
        self.joins.borrow_mut().push(self.clock.now());
        self.joined.set(false);
        self.sleep(2_000).await;
        match self.weather.get().air {
            Air::Takes => {
                self.joined.set(true);
                Ok(())
            }
            Air::Refuses(error) => Err(error),
            Air::Silent => pending().await,
        }
    }
}

impl TimeServer for &World {
    type Address = ();

    async fn look_up(&mut self) -> Option<()> {
        self.sleep(30).await;
        match self.weather.get().dns {
            Some(known) => known.then_some(()),
            None => pending().await,
        }
    }

    async fn exchange(&mut self, (): (), packet: &mut [u8; PACKET_SIZE]) -> Option<usize> {
        if !self.weather.get().socket {
            return None;
        }
        self.sleep(40).await;
        match (self.weather.get().server)(packet) {
            Some(len) => Some(len),
            None => pending().await,
        }
    }
}
