//! The time, from a time server (SNTP, RFC 4330), for the dates of certificates.

use core::sync::atomic::{AtomicU32, Ordering::Relaxed};

use embassy_net::Stack;
use embassy_net::dns::DnsQueryType;
use embassy_net::udp::{PacketMetadata, UdpSocket};
use embassy_time::{Duration, Instant, Timer, with_timeout};
use log::{info, warn};
use ota_core::tls::Time;

use crate::config::TIME_SERVER;

/// Seconds from 1900, which the protocol counts from, to 1970.
const EPOCH_S: u32 = 2_208_988_800;
const PORT: u16 = 123;
const PACKET: usize = 48;
/// Client, version 4.
const REQUEST: u8 = 4 << 3 | 3;
const ANSWER_MS: u64 = 5_000;
const PAUSE_MIN_S: u64 = 2;
const PAUSE_MAX_S: u64 = 300;
const REFRESH_S: u64 = 24 * 3600;

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

#[derive(Debug)]
enum Failure {
    Dns,
    Socket,
    NoAnswer,
    BadAnswer,
}

/// Asks for the time once a day, and after a failure with growing pauses. Calls `reached` after each answer.
pub(crate) async fn run(stack: Stack<'_>, reached: fn()) {
    let mut pause_s = PAUSE_MIN_S;
    loop {
        stack.wait_config_up().await;
        match ask(stack).await {
            Ok(unix_s) => {
                STARTED_AT_S.store(unix_s.wrapping_sub(Instant::now().as_secs() as u32), Relaxed);
                info!("date: {unix_s} s since 1970");
                reached();
                pause_s = REFRESH_S;
            }
            Err(failure) => {
                pause_s = (pause_s * 2).clamp(PAUSE_MIN_S, PAUSE_MAX_S);
                warn!("date: {failure:?} from {TIME_SERVER}, again in {pause_s} s");
            }
        }
        Timer::after_secs(pause_s).await;
    }
}

async fn ask(stack: Stack<'_>) -> Result<u32, Failure> {
    let limit = Duration::from_millis(ANSWER_MS);
    let addresses = with_timeout(limit, stack.dns_query(TIME_SERVER, DnsQueryType::A)).await;
    let addresses = addresses.map_err(|_| Failure::Dns)?.map_err(|_| Failure::Dns)?;
    let server = *addresses.first().ok_or(Failure::Dns)?;

    let (mut rx, mut tx) = ([0; 2 * PACKET], [0; PACKET]);
    let (mut rx_meta, mut tx_meta) = ([PacketMetadata::EMPTY; 2], [PacketMetadata::EMPTY; 1]);
    let mut socket = UdpSocket::new(stack, &mut rx_meta, &mut rx, &mut tx_meta, &mut tx);
    socket.bind(0).map_err(|_| Failure::Socket)?;
    let mut packet = [0; PACKET];
    packet[0] = REQUEST;
    // Anything the server has to repeat: an answer to somebody else's question is not ours.
    let mark = Instant::now().as_ticks().to_be_bytes();
    packet[40..].copy_from_slice(&mark);
    socket.send_to(&packet, (server, PORT)).await.map_err(|_| Failure::Socket)?;
    let answer = with_timeout(limit, socket.recv_from(&mut packet)).await.map_err(|_| Failure::NoAnswer)?;
    let (len, from) = answer.map_err(|_| Failure::BadAnswer)?;

    let is_server = packet[0] & 7 == 4 && packet[0] >> 6 != 3 && (1..16).contains(&packet[1]);
    if len < PACKET || from.endpoint.addr != server || !is_server || packet[24..32] != mark {
        return Err(Failure::BadAnswer);
    }
    let [.., a, b, c, d] = packet[..44] else { return Err(Failure::BadAnswer) };
    Ok(u32::from_be_bytes([a, b, c, d]).wrapping_sub(EPOCH_S))
}
