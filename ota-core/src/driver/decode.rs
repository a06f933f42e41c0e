//! From a message on the wire to a [`Message`] for the agent.

use crate::agent::Message;
use crate::policy::Drop;
use crate::transport::Received;
use crate::wire::{
    Block, Document, Incoming, decode_block, parse_describe, parse_stream_error, parse_update,
};

/// The message in hand: what the agent's actions name parts of.
#[derive(Clone, Copy)]
pub struct Held<'m> {
    /// The payload of the block it brought; empty where it brought none.
    pub block: &'m [u8],
    /// The whole message as received.
    pub payload: &'m [u8],
}

impl<'m> Held<'m> {
    /// No message is in hand.
    pub const NONE: Held<'static> = Held { block: &[], payload: &[] };

    /// `message`, which [`decode`] made of `payload`.
    pub fn new(message: &Message<'m>, payload: &'m [u8]) -> Self {
        let block = match *message {
            Message::Block { data, .. } | Message::RangeBlock { data } => data,
            ref _other => &[],
        };
        Held { block, payload }
    }

    /// Bytes `from..to` of the block, as a [`Part`](crate::agent::Part) names them; empty where there are none.
    pub fn part(&self, from: u32, to: u32) -> &'m [u8] {
        self.block.get(from as usize..to as usize).unwrap_or(&[])
    }
}

/// Decodes a message; `scratch` takes the payload of a block that came as JSON. Never fails: what is of no use is a
/// [`Message::Useless`] and counted by the agent.
pub fn decode<'m>(thing: &str, received: &Received<'m>, scratch: &'m mut [u8]) -> Message<'m> {
    let undecodable = Message::Useless(Drop::Undecodable);
    let payload = received.payload;
    match Incoming::parse(received.topic, thing) {
        None | Some(Incoming::Notify | Incoming::StreamDescription(..)) => Message::Useless(Drop::Unknown),
        Some(Incoming::NotifyNext) => Message::Notify,
        Some(Incoming::Data(stream, format)) => match decode_block(format, payload, scratch) {
            Ok(Block { file_id, block_id, payload: data }) => {
                Message::Block { stream, file_id, block_id, data }
            }
            Err(_) => undecodable,
        },
        Some(Incoming::StreamRejected(stream, format)) => match parse_stream_error(format, payload) {
            Ok(error) => Message::StreamRejected { stream, code: error.code },
            Err(_) => undecodable,
        },
        Some(Incoming::Described { job, accepted }) => {
            let answer = if accepted { parse_describe(payload) } else { parse_update(payload) };
            answer.map_or(undecodable, |answer| Message::Described { job_id: job, accepted, answer })
        }
        Some(Incoming::Updated { job, accepted }) => parse_update(payload)
            .map_or(undecodable, |answer| Message::Updated { job_id: job, accepted, answer }),
    }
}

/// The document of the custom job in `payload`.
pub(super) fn custom_document(payload: &[u8]) -> Option<&[u8]> {
    match parse_describe(payload).ok()?.execution?.document() {
        Document::Custom(document) => Some(document),
        Document::Absent | Document::Ota(_) | Document::Malformed(_) => None,
    }
}
