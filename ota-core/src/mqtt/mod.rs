//! The control plane over minimq: MQTT 5, no heap, any byte stream.
//!
//! [`Mqtt`] owns what outlives a connection (session, packet buffers, the application's [`Open`]); each
//! [`connect`](Connector::connect) opens a stream and lends out a [`MqttLink`], which lives until it is dropped.
//!
//! ```text
//! Mqtt { session, open }  -- connect() -->  MqttLink { minimq::Connection { &mut session, Bounded<Io> } }
//!           ^                                     |  subscribe, publish, receive
//!           '------------- dropped: stream closed-'
//! ```
//!
//! What minimq decides and a caller should know:
//!
//! - **Receiving needs room for a whole packet.** The length of the receive buffer is announced as Maximum Packet Size, and
//!   a broker withholds, without a word, what is longer (MQTT 5.0, 3.1.2.11.4). Size it with [`rx_size`].
//! - **QoS 1 is acknowledged on arrival**, before the agent has looked at it; it asks again after a restart.
//! - **Keep-alive** is served by `receive`: the request leaves 5 s early and its answer may take 5 s, so no more than
//!   `keep_alive_s / 2` may pass between two calls (AWS IoT disconnects after 1.5 intervals).
//! - **Nothing survives a lost link** unless [`Config::session_expiry_s`] asks for it; then unacknowledged publications
//!   are sent again on the next one, and receivers see some of them twice.

mod error;
mod stream;

use embassy_time::{Duration, Instant, with_timeout};
use embedded_io_async::{Read, Write};
use minimq::{
    Buffers, ConfigBuilder, Connection, Publication, QoS, Session, SubscriptionOptions, TopicFilter,
};

pub use embedded_io_async;
pub use error::{ConfigError, MqttError};
pub use minimq::ReasonCode;
pub use stream::{Bounded, BoundedError};

use crate::open::{Endpoint, Open};
use crate::transport::{Connector, Control, Qos, Received, Timer};

/// Longest client id in bytes. minimq's limit; AWS IoT would take 128.
pub const CLIENT_ID_MAX: usize = 64;

/// Longest topic in bytes (AWS IoT Core quotas, "Topic").
pub const TOPIC_MAX: usize = 256;

/// Filters AWS IoT takes in one SUBSCRIBE (AWS IoT Core quotas, "Subscriptions per SUBSCRIBE request").
const FILTERS_MAX: usize = 8;

/// Shortest receive buffer in bytes: CONNACK with the properties brokers send, and error answers.
pub const RX_MIN: usize = 256;

/// Longest thing name in bytes (AWS IoT API, `ThingName`).
const THING_MAX: usize = 128;

/// Keep-alive interval AWS IoT honours, in seconds (AWS IoT Core quotas, "Keep-alive interval").
const KEEP_ALIVE_S: core::ops::RangeInclusive<u16> = 30..=1200;

/// Bytes of a PUBLISH besides topic, properties and payload: fixed header (5), topic length (2), packet id (2),
/// property length (1, or up to 4 where there are properties).
const PUBLISH_OVERHEAD: usize = 13;

/// Room in bytes for properties a broker may add to a message.
const PROPERTIES_ROOM: usize = 64;

/// Bytes a block's payload is wrapped into: four CBOR keys with their values (at most 2 + 4 × 7).
const BLOCK_OVERHEAD: usize = 30;

/// Bytes of CONNECT besides client id and credentials: fixed header (5), protocol name to keep-alive (10), property
/// length (1) and three properties (13), three string lengths (6).
const CONNECT_OVERHEAD: usize = 35;

/// Length in bytes of a receive buffer for stream blocks (CBOR) of `block_size` bytes and answers of AWS IoT Jobs of
/// `job_message_size` bytes. An answer is the job document plus about 400 bytes around it; the document more often
/// decides the size than the block. For blocks in JSON give four thirds of the block size and 60 bytes more.
pub const fn rx_size(block_size: usize, job_message_size: usize) -> usize {
    let block = block_size.saturating_add(BLOCK_OVERHEAD);
    let payload = if block > job_message_size { block } else { job_message_size };
    let size = payload.saturating_add(PUBLISH_OVERHEAD + TOPIC_MAX + PROPERTIES_ROOM);
    if size > RX_MIN { size } else { RX_MIN }
}

/// Length in bytes of a send buffer that holds `message_count` unacknowledged packets (at most 8 are ever held) with
/// payloads of `message_size` bytes, beside CONNECT with `credentials_size` bytes of user name and password.
///
/// A subscription counts as a packet too: its filters together are its payload.
pub const fn tx_size(message_size: usize, message_count: usize, credentials_size: usize) -> usize {
    let message = message_size.saturating_add(PUBLISH_OVERHEAD + TOPIC_MAX);
    message.saturating_mul(message_count).saturating_add(connect_size(CLIENT_ID_MAX, credentials_size))
}

const fn connect_size(client_id_size: usize, credentials_size: usize) -> usize {
    credentials_size.saturating_add(CONNECT_OVERHEAD).saturating_add(client_id_size)
}

/// Settings of the connection. Start from [`Config::new`].
#[derive(Clone, Copy, Debug)]
pub struct Config<'a> {
    /// Thing name, 1 to 128 bytes.
    pub thing: &'a str,
    /// Where the broker is.
    pub broker: Endpoint<'a>,
    /// Client id, 1 to 64 bytes. Most AWS policies want the thing name, which is the default. A second connection with
    /// the same client id ends the first.
    pub client_id: &'a str,
    /// Keep-alive interval in seconds, 30 to 1200. The broker may impose its own.
    pub keep_alive_s: u16,
    /// Seconds the broker keeps subscriptions and unacknowledged messages after a lost link. 0: not at all, which suits
    /// the agent: it asks again for all it needs, and what waited would be stale.
    pub session_expiry_s: u32,
    /// User name and password, for brokers and custom authorizers that want them.
    pub credentials: Option<(&'a str, &'a [u8])>,
    /// Most milliseconds for opening the stream and connecting. The steps of an opener have limits of their own.
    pub connect_timeout_ms: u32,
    /// Most milliseconds a write may make no progress before the link counts as lost.
    pub write_timeout_ms: u32,
}

impl<'a> Config<'a> {
    /// Defaults for a thing: client id = thing name, keep-alive 60 s, no session, no credentials, 30 s to connect, 10 s
    /// for a write.
    pub const fn new(thing: &'a str, broker: Endpoint<'a>) -> Self {
        Self {
            thing,
            broker,
            client_id: thing,
            keep_alive_s: 60,
            session_expiry_s: 0,
            credentials: None,
            connect_timeout_ms: 30_000,
            write_timeout_ms: 10_000,
        }
    }

    fn check(&self, rx_size: usize, tx_size: usize) -> Result<(), ConfigError> {
        let credentials_size = self.credentials.map_or(0, |(user, password)| user.len() + password.len());
        if self.thing.is_empty() || self.thing.len() > THING_MAX {
            Err(ConfigError::ThingName)
        } else if self.client_id.is_empty()
            || self.client_id.starts_with('$')
            || self.client_id.len() > CLIENT_ID_MAX
        {
            Err(ConfigError::ClientId)
        } else if !KEEP_ALIVE_S.contains(&self.keep_alive_s) {
            Err(ConfigError::KeepAlive)
        } else if self.connect_timeout_ms == 0 || self.write_timeout_ms == 0 {
            Err(ConfigError::Timeout)
        } else if rx_size < RX_MIN {
            Err(ConfigError::ReceiveBuffer)
        } else if tx_size
            < connect_size(self.client_id.len(), credentials_size) + PUBLISH_OVERHEAD + TOPIC_MAX
        {
            Err(ConfigError::SendBuffer)
        } else {
            Ok(())
        }
    }
}

/// The application's own traffic on the same connection.
///
/// Messages outside `$aws/things/<thing>/jobs/` and `…/streams/` go to `handler` and never to the agent.
pub struct Others<'a> {
    /// Subscribed to on every new connection, at most 8.
    pub filters: &'a [(&'a str, Qos)],
    /// Gets topic and payload. It runs between two messages and must not block.
    pub handler: &'a mut dyn FnMut(&str, &[u8]),
}

/// The MQTT client: makes one connection at a time over streams of `O`.
pub struct Mqtt<'a, O> {
    session: Session<'a>,
    open: O,
    thing: &'a str,
    broker: Endpoint<'a>,
    connect_timeout: Duration,
    write_timeout: Duration,
    others: Option<Others<'a>>,
}

impl<'a, O: Open> Mqtt<'a, O> {
    /// A client that receives into `rx` ([`rx_size`]) and sends from `tx` ([`tx_size`]). Nothing is sent yet.
    ///
    /// # Errors
    /// A setting is out of its range or a buffer too short.
    pub fn new(open: O, config: Config<'a>, rx: &'a mut [u8], tx: &'a mut [u8]) -> Result<Self, ConfigError> {
        config.check(rx.len(), tx.len())?;
        let mut builder = ConfigBuilder::new(Buffers::new(rx, tx))
            .client_id(config.client_id)
            .map_err(|_| ConfigError::ClientId)?
            .keepalive_interval(config.keep_alive_s)
            .session_expiry_interval(config.session_expiry_s);
        if let Some((user, password)) = config.credentials {
            // `auth` fails only when called twice.
            builder = builder.auth(user, password).map_err(|_| ConfigError::SendBuffer)?;
        }
        Ok(Self {
            session: Session::new(builder),
            open,
            thing: config.thing,
            broker: config.broker,
            connect_timeout: Duration::from_millis(config.connect_timeout_ms.into()),
            write_timeout: Duration::from_millis(config.write_timeout_ms.into()),
            others: None,
        })
    }

    /// Shares the connection with the application's own subscriptions.
    #[must_use]
    pub fn with_others(mut self, others: Others<'a>) -> Self {
        self.others = Some(others);
        self
    }

    /// The opener, to change its settings between two connections.
    pub fn opener(&mut self) -> &mut O {
        &mut self.open
    }

    /// Where the next connection goes.
    pub fn broker(&mut self) -> &mut Endpoint<'a> {
        &mut self.broker
    }
}

impl<'a, O: Open> Connector for Mqtt<'a, O> {
    type Error = MqttError;
    type Link<'c>
        = MqttLink<'c, 'a, O::Io<'c>>
    where
        Self: 'c;

    async fn connect(&mut self) -> Result<Self::Link<'_>, MqttError> {
        let Self { session, open, thing, broker, connect_timeout, write_timeout, others } = self;
        let attempt = async {
            let io = open
                .open(*broker)
                .await
                .map_err(|error| MqttError::Open(embedded_io_async::Error::kind(&error)))?;
            let io = Bounded::new(io, *write_timeout);
            session.connect(io).await.map_err(MqttError::of_connect)
        };
        let connection =
            with_timeout(*connect_timeout, attempt).await.map_err(|_| MqttError::ConnectTimeout)??;
        let mut link = MqttLink { connection, thing, others: others.as_mut(), torn: false };
        if let Some(filters) = link.others.as_ref().map(|others| others.filters) {
            link.subscribe(filters).await?;
        }
        Ok(link)
    }

    fn release(&mut self) {
        self.open.release();
    }
}

/// One live connection, lent out by [`Mqtt`]. Dropping it closes the stream.
pub struct MqttLink<'c, 'a, Io> {
    connection: Connection<'c, 'a, Bounded<Io>>,
    thing: &'a str,
    others: Option<&'c mut Others<'a>>,
    /// A QoS 0 publication is being written. minimq writes it from scratch space and cannot continue it, so if this is
    /// still set on the next use, the future was dropped and the stream may end in half a packet.
    torn: bool,
}

impl<Io: Read + Write> MqttLink<'_, '_, Io> {
    /// Whether no acknowledgement is outstanding, neither the broker's nor ours.
    pub fn is_idle(&self) -> bool {
        self.connection.session().is_publish_quiescent()
    }

    fn whole(&mut self) -> Result<(), MqttError> {
        if self.torn {
            self.connection.handle_disconnect();
            return Err(MqttError::Torn);
        }
        Ok(())
    }
}

impl<Io: Read + Write> Control for MqttLink<'_, '_, Io> {
    type Error = MqttError;

    async fn subscribe(&mut self, filters: &[(&str, Qos)]) -> Result<(), MqttError> {
        self.whole()?;
        for filters in filters.chunks(FILTERS_MAX) {
            let mut topics: heapless::Vec<TopicFilter<'_>, FILTERS_MAX> = heapless::Vec::new();
            for (filter, qos) in filters {
                // minimq asks for QoS 0 unless told otherwise.
                let options = SubscriptionOptions::default().maximum_qos(quality(*qos));
                // Cannot be full: a chunk is no longer than the vector.
                let _ = topics.push(TopicFilter::new(filter).options(options));
            }
            let result = self.connection.subscribe(&topics, &[]).await;
            result.map_err(|error| MqttError::of(error, self.is_idle()))?;
        }
        Ok(())
    }

    async fn publish(&mut self, topic: &str, payload: &[u8], qos: Qos) -> Result<(), MqttError> {
        self.whole()?;
        self.torn = qos == Qos::AtMostOnce;
        let publication = Publication::bytes(topic, payload).qos(quality(qos));
        let result = self.connection.publish(publication).await;
        self.torn = false;
        // The operation's handle is not kept: receivers tell by their answers what arrived. Idleness is asked for
        // afterwards, since even a failed attempt sends the acknowledgements owed to the broker.
        result.map(|_| ()).map_err(|error| MqttError::of_publish(error, self.is_idle()))
    }

    async fn receive(&mut self) -> Result<Received<'_>, MqttError> {
        self.whole()?;
        let received = self.connection.recv().await;
        let message = received.map_err(|error| match MqttError::of(error, false) {
            // What cannot leave is an acknowledgement, a keep-alive or what a session kept. Nobody can repeat it, minimq would
            // say so again at once, and whoever receives again would turn in a circle.
            MqttError::TooLarge | MqttError::Busy | MqttError::Unsupported => MqttError::Protocol,
            error => error,
        })?;
        let (topic, payload) = (message.topic(), message.payload());
        match &mut self.others {
            Some(others) if !is_ours(topic, self.thing) => {
                (others.handler)(topic, payload);
                Ok(Received::TAKEN)
            }
            Some(_) | None => Ok(Received { topic, payload }),
        }
    }

    async fn disconnect(&mut self) -> Result<(), MqttError> {
        self.whole()?;
        self.connection.disconnect().await.map_err(|error| MqttError::of(error, false))
    }
}

fn quality(qos: Qos) -> QoS {
    match qos {
        Qos::AtMostOnce => QoS::AtMostOnce,
        Qos::AtLeastOnce => QoS::AtLeastOnce,
    }
}

/// Whether a topic is Jobs' or Streams' of this thing.
fn is_ours(topic: &str, thing: &str) -> bool {
    topic
        .strip_prefix("$aws/things/")
        .and_then(|rest| rest.strip_prefix(thing))
        .is_some_and(|rest| rest.starts_with("/jobs/") || rest.starts_with("/streams/"))
}

/// The clock of embassy-time, which minimq needs anyway.
#[derive(Clone, Copy, Debug, Default)]
pub struct EmbassyTimer;

impl Timer for EmbassyTimer {
    fn now_ms(&mut self) -> u64 {
        Instant::now().as_millis()
    }

    async fn until(&mut self, at_ms: u64) {
        let at = Instant::try_from_millis(at_ms).unwrap_or(Instant::MAX);
        // An embassy timer yields once even when it is late.
        if Instant::now() < at {
            embassy_time::Timer::at(at).await;
        }
    }
}

#[cfg(test)]
mod tests;
