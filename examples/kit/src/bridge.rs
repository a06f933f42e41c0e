//! Between the IP stack, which lives as long as the firmware, and the Wi-Fi driver, which comes and goes.
//!
//! The stack's device is a pair of queues; a driver that is alive is [`bridged`](Bridge::run) to them, and when it is gone the
//! link is down. One copy of a frame each way is the price.

use core::future::poll_fn;
use core::task::Poll;

use embassy_futures::join::join3;
use embassy_net_driver_channel as channel;
use embassy_net_driver_channel::driver::{Driver, HardwareAddress, LinkState, RxToken, TxToken};
use static_cell::StaticCell;

const MTU: usize = 1514;
const FRAMES: usize = 4;

/// The stack's device.
pub(crate) type Device = channel::Device<'static, MTU>;

/// The other end.
pub(crate) struct Bridge {
    runner: channel::Runner<'static, MTU>,
}

/// The queues, once.
pub(crate) fn new() -> (Bridge, Device) {
    static STATE: StaticCell<channel::State<MTU, FRAMES, FRAMES>> = StaticCell::new();
    let state = STATE.init_with(channel::State::new);
    let (runner, device) = channel::new(state, HardwareAddress::Ethernet([0; 6]));
    (Bridge { runner }, device)
}

impl Bridge {
    /// Carries frames between `device` and the stack. Dropping it loses frames that are in between, and takes the link down with
    /// the next [`down`](Self::down).
    pub(crate) async fn run(&mut self, device: &mut impl Driver) -> ! {
        self.runner.set_hardware_address(device.hardware_address());
        let device = core::cell::RefCell::new(device);
        let (state, mut rx, mut tx) = self.runner.borrow_split();

        let link = poll_fn(|context| {
            state.set_link_state(device.borrow_mut().link_state(context));
            Poll::<core::convert::Infallible>::Pending
        });
        let inward = async {
            loop {
                let buffer = rx.rx_buf().await;
                let len = poll_fn(|context| match device.borrow_mut().receive(context) {
                    Some((token, _)) => Poll::Ready(token.consume(|frame| {
                        let len = frame.len().min(buffer.len());
                        buffer[..len].copy_from_slice(&frame[..len]);
                        len
                    })),
                    None => Poll::Pending,
                })
                .await;
                rx.rx_done(len);
            }
        };
        let outward = async {
            loop {
                let frame = tx.tx_buf().await;
                poll_fn(|context| match device.borrow_mut().transmit(context) {
                    Some(token) => {
                        token.consume(frame.len(), |buffer| buffer.copy_from_slice(frame));
                        Poll::Ready(())
                    }
                    None => Poll::Pending,
                })
                .await;
                tx.tx_done();
            }
        };
        let (never, _, _): (core::convert::Infallible, (), ()) = join3(link, inward, outward).await;
        match never {}
    }

    /// No driver is there.
    pub(crate) fn down(&mut self) {
        self.runner.set_link_state(LinkState::Down);
    }
}
