//! The time, from a time server (SNTP, RFC 4330), for the dates of certificates.

use ota_core::transport::Timer;

use crate::{
    network::{Network, reached},
    pace::{Pace, pause, within},
};

/// Bytes of a request and of what is looked at of an answer.
pub const PACKET_SIZE: usize = 48;
/// The port of time servers.
pub const PORT: u16 = 123;
/// How long a name, or an answer, is waited for.
pub const ANSWER_MS: u32 = 5_000;
/// The first pause after a failure, and the longest.
pub const PAUSE_MS: [u32; 2] = [2_000, 300_000];
/// From an answer to the next question.
pub const REFRESH_MS: u32 = 24 * 3600 * 1000;

/// Seconds from 1900, which the protocol counts from, to 1970.
const EPOCH_S: u32 = 2_208_988_800;
/// Client, version 4.
const REQUEST: u8 = 4 << 3 | 3;
/// Of the packet: leap indicator, version and mode; stratum; the timestamp of the question; that of the answer.
const FLAGS: usize = 0;
const STRATUM: usize = 1;
const ORIGINATE: usize = 24;
const TRANSMIT: usize = 40;

/// Why there is no time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The server's name has no address, or nobody says.
    Dns,
    /// The stack has no room for the question.
    Socket,
    /// The server does not answer.
    NoAnswer,
    /// What came is no answer to our question, the server does not know the time, or it is older than this firmware.
    BadAnswer,
}

/// What happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The time, seconds since 1970. Good until 2106.
    Time(u32),
    /// No time. The next attempt begins after the pause.
    Failed {
        /// Why.
        why: Failure,
        /// The pause.
        pause_ms: u32,
    },
}

/// The way to a time server.
#[allow(async_fn_in_trait)] // One executor, one thread.
pub trait TimeServer {
    /// Where it is.
    type Address;

    /// Looks up its name. `None`: it has no address. May be dropped.
    async fn look_up(&mut self) -> Option<Self::Address>;

    /// Sends the packet, waits for one *from that address* and puts it in its place. Its length, or `None` if there is no
    /// socket. May be dropped.
    async fn exchange(&mut self, server: Self::Address, packet: &mut [u8; PACKET_SIZE]) -> Option<usize>;
}

/// Asks for the time whenever there is a network: once a day, and after a failure with growing pauses. A time before `built_at_s` is
/// not believed. The seed: see [`Pace::new`].
pub async fn keep(
    server: &mut impl TimeServer,
    net: &impl Network,
    timer: impl Timer + Copy,
    built_at_s: u64,
    seed: u64,
    mut report: impl FnMut(Event),
) -> ! {
    let mut pace = Pace::new(PAUSE_MS[0], PAUSE_MS[1], seed);
    loop {
        reached(net).await;
        // What the server has to repeat: an answer to somebody else's question is not ours.
        let mark = [pace.random().to_be_bytes(), pace.random().to_be_bytes()];
        let pause_ms = match ask(server, timer, mark.as_flattened(), built_at_s).await {
            Ok(unix_s) => {
                report(Event::Time(unix_s));
                pace.reset();
                REFRESH_MS
            }
            Err(why) => {
                let pause_ms = pace.pause_ms();
                report(Event::Failed { why, pause_ms });
                pause_ms
            }
        };
        pause(timer, pause_ms).await;
    }
}

async fn ask(
    server: &mut impl TimeServer,
    timer: impl Timer + Copy,
    mark: &[u8],
    built_at_s: u64,
) -> Result<u32, Failure> {
    let address = within(timer, ANSWER_MS, server.look_up()).await.flatten().ok_or(Failure::Dns)?;
    let mut packet = [0; PACKET_SIZE];
    packet[FLAGS] = REQUEST;
    packet[TRANSMIT..].copy_from_slice(mark);
    let answer = within(timer, ANSWER_MS, server.exchange(address, &mut packet)).await;
    let len = answer.ok_or(Failure::NoAnswer)?.ok_or(Failure::Socket)?;
    let unix_s = if len < PACKET_SIZE { None } else { seconds(&packet, mark) };
    unix_s.filter(|now| u64::from(*now) >= built_at_s).ok_or(Failure::BadAnswer)
}

/// Seconds since 1970, if the packet is a server's answer to the question with our mark. A stratum of 0 is the server's way to say
/// no ("kiss of death"), leap indicator 3 that its clock is not set.
fn seconds(packet: &[u8; PACKET_SIZE], mark: &[u8]) -> Option<u32> {
    let is_server = packet[FLAGS] & 7 == 4 && packet[FLAGS] >> 6 != 3 && (1..16).contains(&packet[STRATUM]);
    let (_, rest) = packet.split_at(ORIGINATE);
    let sent = packet[TRANSMIT..].first_chunk()?;
    (is_server && rest.starts_with(mark)).then(|| u32::from_be_bytes(*sent).wrapping_sub(EPOCH_S))
}
