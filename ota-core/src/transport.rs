//! What the driver needs from the outside: one MQTT connection and a clock.
//!
//! A [`Connector`] opens one connection at a time and lends it out as a [`Control`]. The loan is why connecting is a
//! trait of its own: what outlives a connection (packet buffers, session state, TLS record buffers) stays with the
//! connector, what belongs to one connection lives in the link, and dropping the link is what closes it.
//!
//! Nothing here retries. A connector makes one bounded attempt, a link reports that it is lost, and the agent decides
//! when to try again (bounded, growing, jittered), what to subscribe to and what to ask for once more.
//!
//! The futures carry no `Send` bound: the library runs in one task of a single-threaded executor.

use core::fmt::Debug;

/// Delivery guarantee of a publication or the most a subscription asks for.
///
/// AWS IoT knows these two; exactly-once is not acknowledged there (AWS IoT Core developer guide, "MQTT", QoS).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Qos {
    /// QoS 0: sent once, may be lost, and AWS IoT may deliver it twice all the same.
    AtMostOnce,
    /// QoS 1: repeated until acknowledged, so it may arrive more than once.
    AtLeastOnce,
}

/// One message as it lies in the receive buffer of the link.
///
/// It borrows the link, so it has to be used up before the next call on the same link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received<'a> {
    /// Topic the message was published to; empty only in [`Received::TAKEN`].
    pub topic: &'a str,
    /// The message itself.
    pub payload: &'a [u8],
}

impl Received<'_> {
    /// A message arrived that is not about updates, and the link has already handed it to the application.
    ///
    /// A topic is never empty on the wire (MQTT 5.0, 4.7.3), so this cannot be mistaken for one. The driver just
    /// receives again.
    pub const TAKEN: Received<'static> = Received { topic: "", payload: &[] };

    /// Whether this is [`Received::TAKEN`].
    pub const fn is_taken(&self) -> bool {
        self.topic.is_empty()
    }
}

/// What a failure of the control plane means for whoever holds the link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureKind {
    /// The link is gone, or was never made: drop it and connect again after a back-off.
    Lost,
    /// The link is up but has no room for another unacknowledged packet: receive (which takes in acknowledgements) and
    /// try again. A link that stays busy past the deadline of the request should be dropped.
    Busy,
    /// The peer understood and refused. The link is up; the same request will be refused again until somebody changes
    /// a policy in the cloud. A refused *connection* is this kind too.
    Refused,
    /// The request can never be sent: it exceeds a buffer or a limit of the broker. The link is up.
    TooLarge,
}

/// An error of the control plane that tells its [`FailureKind`].
pub trait Failure: Debug {
    /// What to do about it.
    fn kind(&self) -> FailureKind;
}

/// Makes connections, one at a time.
pub trait Connector {
    /// Why a connection could not be made; the links fail with the same type.
    type Error: Failure;

    /// A live connection. Dropping it closes the stream below it without a farewell (see [`Control::disconnect`]).
    type Link<'c>: Control<Error = Self::Error>
    where
        Self: 'c;

    /// Opens the stream and the MQTT connection: one attempt, bounded in time.
    ///
    /// Subscriptions of the agent do not survive: the caller subscribes again on every new link.
    ///
    /// Dropping the future closes what was opened so far; the connector is ready for another attempt.
    ///
    /// # Errors
    /// The attempt failed or took too long. The connector itself stays usable.
    #[allow(async_fn_in_trait)] // Single-threaded executors: no `Send` bound is wanted.
    async fn connect(&mut self) -> Result<Self::Link<'_>, Self::Error>;

    /// There is no link, and the data plane may need what it shares with this connector: give it back. The driver says
    /// so before it opens a range without a link. The provided method does nothing.
    fn release(&mut self) {}
}

/// One live MQTT connection, owned by one task.
pub trait Control {
    /// Why an operation failed.
    type Error: Failure;

    /// Asks for the messages of all `filters`, each with the highest QoS it may be delivered with.
    ///
    /// Returns once the request is on its way, not when the broker has granted it: waiting would have to throw away
    /// messages that arrive meanwhile. A refusal surfaces as an error of a later [`receive`](Self::receive), and a
    /// grant that got lost looks like an unanswered request; both are the agent's to handle.
    ///
    /// Dropping the future leaves the subscription either requested or not. Subscribing twice is harmless.
    ///
    /// # Errors
    /// [`FailureKind::Lost`], [`FailureKind::Busy`] or [`FailureKind::TooLarge`].
    #[allow(async_fn_in_trait)] // Single-threaded executors: no `Send` bound is wanted.
    async fn subscribe(&mut self, filters: &[(&str, Qos)]) -> Result<(), Self::Error>;

    /// Sends one message.
    ///
    /// `AtMostOnce` returns once the message is written to the stream. `AtLeastOnce` returns once the client retains
    /// it, *not* when the broker has acknowledged it: a lost link may lose it or deliver it twice, so a caller that
    /// must know waits for the answer to its request.
    ///
    /// Dropping the future leaves the message sent, retained or not sent; a link whose stream was cut in the middle of
    /// a packet by the drop must report itself lost on its next use.
    ///
    /// # Errors
    /// [`FailureKind::Lost`], [`FailureKind::Busy`] or [`FailureKind::TooLarge`].
    #[allow(async_fn_in_trait)] // Single-threaded executors: no `Send` bound is wanted.
    async fn publish(&mut self, topic: &str, payload: &[u8], qos: Qos) -> Result<(), Self::Error>;

    /// Waits, for ever if need be, for the next message. Also where acknowledgements and keep-alive are dealt with, so a
    /// link must be in `receive` most of the time.
    ///
    /// Dropping the future loses nothing: a message arriving in parts is continued by the next call. (A message that
    /// was already returned is gone; QoS 1 is acknowledged as soon as it is read.)
    ///
    /// # Errors
    /// [`FailureKind::Lost`], or [`FailureKind::Refused`] for an earlier subscription or publication; after the latter
    /// the link goes on.
    #[allow(async_fn_in_trait)] // Single-threaded executors: no `Send` bound is wanted.
    async fn receive(&mut self) -> Result<Received<'_>, Self::Error>;

    /// Says farewell, so that the broker closes the session instead of taking the device for lost. The link is of no
    /// use afterwards: drop it.
    ///
    /// Dropping the future half-way leaves a link that must be dropped too. The provided method does nothing.
    ///
    /// # Errors
    /// [`FailureKind::Lost`]; a caller on its way to a reset has nothing to do about it.
    #[allow(async_fn_in_trait)] // Single-threaded executors: no `Send` bound is wanted.
    async fn disconnect(&mut self) -> Result<(), Self::Error> {
        Ok(())
    }
}

/// Why a range of a file did not come, and what helps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RangeError {
    /// No connection, or it was closed or went silent: ask again.
    Lost,
    /// The server wants to be left alone for so long (429, 503 with `Retry-After`), milliseconds.
    Busy {
        /// 0: it did not say.
        after_ms: u32,
    },
    /// Whoever answers cannot prove to be the server: the certificate is wrong, or somebody sits in between.
    Untrusted,
    /// The URL is not (or no longer) good (403, 400): ask the job for a new one.
    Expired,
    /// There is no such object (404, 410).
    NotFound,
    /// The object is another one than before (ETag), or has another size than the job says.
    Changed,
    /// The server does not do what is needed, or the URL is not one to fetch from. Trying again does not help.
    Refused,
}

/// The data plane over HTTP: connections to wherever a URL points, one at a time.
///
/// Like a [`Connector`] it lends a connection out, so that its buffers stay with it.
pub trait Ranges {
    /// A connection that is kept from range to range. Dropping it closes it.
    type Session<'s>: RangeSession
    where
        Self: 's;

    /// Takes note of where the next [`connect`](Self::connect) goes.
    ///
    /// # Errors
    /// [`RangeError::Refused`]: the URL is not one to fetch from.
    fn target(&mut self, url: &str) -> Result<(), RangeError>;

    /// Connects: one attempt, bounded in time.
    ///
    /// Dropping the future closes what was opened so far. The driver polls it beside the link and drops it only when the
    /// file is not wanted any more.
    ///
    /// # Errors
    /// [`RangeError::Lost`], [`RangeError::Untrusted`] or [`RangeError::Refused`].
    #[allow(async_fn_in_trait)] // Single-threaded executors: no `Send` bound is wanted.
    async fn connect(&mut self) -> Result<Self::Session<'_>, RangeError>;

    /// There is no session, and the connector may need what it shares with this plane: give it back. The driver says so
    /// before it connects. The provided method does nothing.
    fn release(&mut self) {}
}

/// One connection over which ranges of a file are read, one after the other.
pub trait RangeSession {
    /// Takes the request for bytes `from..to` of the object at `url`, whose size is `size` bytes. It goes out with the
    /// first [`read`](Self::read).
    ///
    /// # Errors
    /// [`RangeError::Lost`]: not over this connection (another host, or the server wants it closed).
    /// [`RangeError::Refused`]: the URL is not one to fetch from.
    fn request(&mut self, url: &str, from: u32, to: u32, size: u32) -> Result<(), RangeError>;

    /// Fills `buf` with the next bytes of the range.
    ///
    /// Dropping the future loses the connection. The driver polls it beside the link and drops it only when the file is
    /// not wanted any more.
    ///
    /// # Errors
    /// Any [`RangeError`]; the session is of no use afterwards.
    #[allow(async_fn_in_trait)] // Single-threaded executors: no `Send` bound is wanted.
    async fn read(&mut self, buf: &mut [u8]) -> Result<(), RangeError>;
}

/// No HTTP: for devices that download over MQTT only.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoRanges;

impl Ranges for NoRanges {
    type Session<'s> = NoRanges;

    fn target(&mut self, _: &str) -> Result<(), RangeError> {
        Err(RangeError::Refused)
    }

    async fn connect(&mut self) -> Result<NoRanges, RangeError> {
        Err(RangeError::Refused)
    }
}

impl RangeSession for NoRanges {
    fn request(&mut self, _: &str, _: u32, _: u32, _: u32) -> Result<(), RangeError> {
        Err(RangeError::Refused)
    }

    async fn read(&mut self, _: &mut [u8]) -> Result<(), RangeError> {
        Err(RangeError::Refused)
    }
}

/// The clock: milliseconds since any fixed moment, never going back.
pub trait Timer {
    /// Milliseconds now.
    fn now_ms(&mut self) -> u64;

    /// Waits until [`now_ms`](Self::now_ms) reaches `at_ms`; at once if it has. Dropping the future leaves nothing
    /// behind.
    #[allow(async_fn_in_trait)] // Single-threaded executors: no `Send` bound is wanted.
    async fn until(&mut self, at_ms: u64);
}

impl<T: Timer + ?Sized> Timer for &mut T {
    fn now_ms(&mut self) -> u64 {
        T::now_ms(self)
    }

    async fn until(&mut self, at_ms: u64) {
        T::until(self, at_ms).await;
    }
}
