//! The IP stack: DHCP, DNS, TCP.

use embassy_futures::join::join;
use embassy_net::{Config, Runner, Stack, StackResources};
use embassy_time::{Duration, with_timeout};
use log::{info, warn};
use static_cell::StaticCell;

use crate::bridge::Device;

/// DHCP, DNS, SNTP, MQTT, and one to spare.
const SOCKETS: usize = 5;
/// How long DHCP may stay silent before it is mentioned; it goes on asking.
const DHCP_S: u64 = 15;

/// The stack, once.
pub(crate) fn new(device: Device, seed: u64) -> (Stack<'static>, Runner<'static, Device>) {
    static RESOURCES: StaticCell<StackResources<SOCKETS>> = StaticCell::new();
    let resources = RESOURCES.init_with(StackResources::new);
    embassy_net::new(device, Config::dhcpv4(Default::default()), resources, seed)
}

/// Runs the stack and tells what becomes of the address.
pub(crate) async fn run(stack: Stack<'static>, mut runner: Runner<'static, Device>) {
    join(runner.run(), watch(stack)).await;
}

async fn watch(stack: Stack<'_>) -> ! {
    loop {
        stack.wait_link_up().await;
        while with_timeout(Duration::from_secs(DHCP_S), stack.wait_config_up()).await.is_err() {
            if stack.is_link_up() {
                warn!("network: DHCP does not answer");
            }
        }
        if let Some(config) = stack.config_v4() {
            info!("network: {}", config.address);
        }
        stack.wait_config_down().await;
        warn!("network: no address any more");
    }
}
