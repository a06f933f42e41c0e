//! The time, for the dates of certificates. When to ask, and what to believe, is `kit_net::time`'s.

use core::sync::atomic::{AtomicU32, Ordering::Relaxed};

use embassy_net::dns::DnsQueryType;
use embassy_net::udp::{PacketMetadata, UdpSocket};
use embassy_net::{IpAddress, Stack};
use embassy_time::Instant;
use kit_net::time::{self, Event, PACKET_SIZE, PORT, TimeServer};
use log::{info, warn};
use ota_core::mqtt::EmbassyTimer;
use ota_core::tls::Time;

use crate::config::TIME_SERVER;
use crate::network::Ip;

/// Unix time at the start of the firmware; 0: not known. Good until 2106.
static STARTED_AT_S: AtomicU32 = AtomicU32::new(0);

/// The clock for TLS.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock;

impl Time for Clock {
    fn unix_s(&self) -> Option<u64> {
        let started = STARTED_AT_S.load(Relaxed);
        (started != 0).then(|| u64::from(started) + Instant::now().as_secs())
    }
}

/// Keeps the time. Calls `reached` after each answer.
pub(crate) async fn run(stack: Stack<'_>, seed: u64, reached: fn()) {
    let report = |event| match event {
        Event::Time(unix_s) => {
            STARTED_AT_S.store(unix_s.wrapping_sub(Instant::now().as_secs() as u32), Relaxed);
            info!("time: {unix_s} s since 1970");
            reached();
        }
        failed @ Event::Failed { .. } => warn!("time: {failed:?}, asked was {TIME_SERVER}"),
    };
    time::keep(&mut Server(stack), &Ip(stack), EmbassyTimer, crate::built_at_s(), seed, report).await
}

struct Server<'s>(Stack<'s>);

impl TimeServer for Server<'_> {
    type Address = IpAddress;

    async fn look_up(&mut self) -> Option<IpAddress> {
        self.0.dns_query(TIME_SERVER, DnsQueryType::A).await.ok()?.first().copied()
    }

    async fn exchange(&mut self, server: IpAddress, packet: &mut [u8; PACKET_SIZE]) -> Option<usize> {
        let (mut rx, mut tx) = ([0; 2 * PACKET_SIZE], [0; PACKET_SIZE]);
        let (mut rx_meta, mut tx_meta) = ([PacketMetadata::EMPTY; 2], [PacketMetadata::EMPTY; 1]);
        let mut socket = UdpSocket::new(self.0, &mut rx_meta, &mut rx, &mut tx_meta, &mut tx);
        socket.bind(0).ok()?;
        socket.send_to(&packet[..], (server, PORT)).await.ok()?;
        loop {
            // What is larger than the buffer is no answer either.
            let (len, from) = socket.recv_from(packet).await.unwrap_or((0, (server, PORT).into()));
            if from.endpoint.addr == server {
                return Some(len);
            }
        }
    }
}
