//! The IP stack: DHCP, DNS, TCP.

use embassy_futures::select::select;
use embassy_net::{Config, Runner, Stack, StackResources};
use kit_net::{Network, Reach};
use static_cell::StaticCell;

use crate::bridge::Device;

/// DHCP, DNS, SNTP, MQTT, and one to spare.
const SOCKETS: usize = 5;

/// The stack, once.
pub(crate) fn new(device: Device, seed: u64) -> (Stack<'static>, Runner<'static, Device>) {
    static RESOURCES: StaticCell<StackResources<SOCKETS>> = StaticCell::new();
    let resources = RESOURCES.init_with(StackResources::new);
    embassy_net::new(device, Config::dhcpv4(Default::default()), resources, seed)
}

/// The stack, as the decisions about the network see it.
#[derive(Clone, Copy)]
pub(crate) struct Ip<'s>(pub(crate) Stack<'s>);

impl Network for Ip<'_> {
    fn reach(&self) -> Reach {
        match (self.0.is_link_up(), self.0.is_config_up()) {
            (false, _) => Reach::NoLink,
            (true, false) => Reach::NoAddress,
            (true, true) => Reach::Address,
        }
    }

    async fn changed(&self, from: Reach) {
        let net = self.0;
        match from {
            Reach::NoLink => net.wait_link_up().await,
            Reach::NoAddress => _ = select(net.wait_link_down(), net.wait_config_up()).await,
            Reach::Address => _ = select(net.wait_link_down(), net.wait_config_down()).await,
        }
    }
}
