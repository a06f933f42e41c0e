//! What travels between a device and the cloud, and how it is counted.

use core::ops::Range;

/// Whom a message is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum To {
    /// The client that asked, even without a subscription (answers of Jobs).
    Requester,
    /// Whoever subscribed.
    Subscribers,
}

/// What a message is, so that faults can tell them apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An answer of Jobs, or of a stream other than a block.
    Answer,
    /// `notify` and `notify-next`.
    Push,
    /// One block of a file.
    Block {
        /// Where the values of `f` and `i` lie in the payload of the message.
        ids: Range<usize>,
        /// Where the block's own bytes lie in it.
        payload: Range<usize>,
    },
}

/// One message the cloud publishes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// Whose topic it is.
    pub thing: String,
    /// Full topic.
    pub topic: String,
    /// Body.
    pub payload: Vec<u8>,
    /// 0 or 1.
    pub qos: u8,
    /// Receiver.
    pub to: To,
    /// Kind of message.
    pub kind: Kind,
    /// Not to be delivered before this time, ms.
    pub not_before_ms: u64,
}

impl Outgoing {
    /// Bytes of the MQTT 5 PUBLISH packet without properties: header, topic, packet id for QoS 1, empty property list.
    pub(crate) fn packet_size(&self) -> usize {
        let packet_id = if self.qos > 0 { 2 } else { 0 };
        let remaining = 2 + self.topic.len() + packet_id + 1 + self.payload.len();
        let length_bytes = match remaining {
            0..=127 => 1,
            128..=16_383 => 2,
            16_384..=2_097_151 => 3,
            _ => 4,
        };
        1 + length_bytes + remaining
    }
}

/// The connection is down; connect again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkDown;

impl core::fmt::Display for LinkDown {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("the link is down: connect again")
    }
}

impl core::error::Error for LinkDown {}

/// A message as it reaches the device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Full topic.
    pub topic: String,
    /// Body, possibly damaged.
    pub payload: Vec<u8>,
}

/// A message on its way, as a script sees it.
#[derive(Clone, Copy, Debug)]
pub struct Passing<'a> {
    /// From the device to the service.
    pub upward: bool,
    /// Full topic.
    pub topic: &'a str,
    /// Body, undamaged.
    pub payload: &'a [u8],
}

/// What happened on the link so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Messages the device published.
    pub published: u64,
    /// GetStream requests among them.
    pub stream_requests: u64,
    /// Block messages the service sent.
    pub blocks_sent: u64,
    /// Block messages handed to the device.
    pub blocks_delivered: u64,
    /// Messages handed to the device, blocks included.
    pub delivered: u64,
    /// Lost to chance, both directions.
    pub lost: u64,
    /// Doubled by chance.
    pub doubled: u64,
    /// Delayed so that later ones could overtake.
    pub reordered: u64,
    /// Damaged by a flipped bit.
    pub flipped: u64,
    /// Cut off.
    pub truncated: u64,
    /// Withheld because the packet is larger than the client accepts.
    pub withheld: u64,
    /// Discarded by the broker's message rate.
    pub discarded: u64,
    /// Nobody had subscribed.
    pub unsubscribed: u64,
    /// Times the link broke or was closed.
    pub disconnects: u64,
}
