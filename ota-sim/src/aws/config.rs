//! Behaviour of the service and of the link, as data. The defaults are what AWS documents.

use std::fmt;
use std::sync::Arc;

use super::faults::Faults;
use super::json::Object;

/// What `$next/get` answers and `notify-next` pushes when nothing is pending; all three were seen or are plausible.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EmptyNext {
    /// No `execution` member.
    Absent,
    /// `"execution":{}`
    EmptyObject,
    /// `"execution":null`
    Null,
}

/// Behaviour of a [`Service`](super::Service). The default is what AWS documents.
#[derive(Clone, Debug)]
pub struct ServiceConfig {
    /// Seconds since 1970 at `now_ms` = 0.
    pub epoch_s: u64,
    /// Where stream names come from.
    pub seed: u64,
    /// Answer things that were never added as if they existed and had no jobs.
    pub any_thing: bool,
    /// Let a device go from `IN_PROGRESS` to `REJECTED`. AWS' guide is not clear; its agents assume not.
    pub rejected_after_start: bool,
    /// Put the request's client token into each block.
    pub echo_token_in_blocks: bool,
    /// Refuse a GetStream that has a bitmap but no count, as was seen live for files under 128 KiB.
    pub refuse_bitmap_without_count: bool,
    /// Shape of "no job".
    pub empty_next: EmptyNext,
    /// Push `notify-next` also when only the status of the next execution changes (undocumented, reported).
    pub notify_status_changes: bool,
    /// Longest value in status details, in characters: 128 in the archived limits, 1024 in newer ones.
    pub detail_value_max: usize,
    /// Jobs requests a thing may send within a second; what is above is `RequestThrottled`.
    pub requests_per_s: Option<u32>,
    /// How long the service thinks before an answer, ms.
    pub answer_delay_ms: u64,
    /// Once so many percent of a stream's bytes were sent as blocks, not one block of it is sent any more.
    pub streams_die_at_percent: Option<u8>,
    /// What becomes of `${aws:iot:s3-presigned-url:URL}` in a job document, each time the document is sent.
    pub presign: Presign,
}

/// Makes a presigned URL of an object's plain one, at a time in ms.
#[derive(Clone)]
pub struct Presign(Arc<SignUrl>);

type SignUrl = dyn Fn(&str, u64) -> String + Send + Sync;

impl Presign {
    /// Signs with `sign`, which gets the plain URL and the time in ms.
    pub fn new(sign: impl Fn(&str, u64) -> String + Send + Sync + 'static) -> Self {
        Self(Arc::new(sign))
    }

    pub(crate) fn url(&self, plain: &str, now_ms: u64) -> String {
        (self.0)(plain, now_ms)
    }
}

impl fmt::Debug for Presign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Presign")
    }
}

impl Default for ServiceConfig {
    fn default() -> Self {
        Self {
            epoch_s: 1_718_000_000,
            seed: 0,
            any_thing: false,
            rejected_after_start: false,
            echo_token_in_blocks: true,
            refuse_bitmap_without_count: false,
            empty_next: EmptyNext::Absent,
            notify_status_changes: false,
            detail_value_max: 128,
            requests_per_s: None,
            answer_delay_ms: 0,
            streams_die_at_percent: None,
            presign: Presign::new(|url, now_ms| format!("{url}?X-Amz-Date={now_ms}")),
        }
    }
}

impl EmptyNext {
    pub(crate) fn add_to(self, object: Object) -> Object {
        match self {
            Self::Absent => object,
            Self::EmptyObject => object.raw("execution", "{}"),
            Self::Null => object.raw("execution", "null"),
        }
    }
}

/// Properties of the connection.
#[derive(Clone, Debug)]
pub struct LinkConfig {
    /// Faults; none by default.
    pub faults: Faults,
    /// The client's maximum packet size, bytes: a larger PUBLISH packet never arrives. `None`: no bound.
    pub max_packet_size: Option<usize>,
    /// Messages a second to the device; blocks above it are discarded. AWS: 100.
    pub messages_per_s: Option<u32>,
    /// Bytes a second to the device; what is above waits. AWS: 512 KiB.
    pub bytes_per_s: Option<u32>,
    /// Keep subscriptions, and QoS 1 pushes of the time in between, over a disconnect.
    pub persistent_session: bool,
    /// Deliver answers of Jobs to the requester without a subscription, as AWS does.
    pub implicit_answers: bool,
}

impl Default for LinkConfig {
    fn default() -> Self {
        Self {
            faults: Faults::default(),
            max_packet_size: None,
            messages_per_s: Some(100),
            bytes_per_s: Some(512 * 1024),
            persistent_session: false,
            implicit_answers: true,
        }
    }
}
