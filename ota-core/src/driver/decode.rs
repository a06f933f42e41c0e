//! From a message on the wire to a [`Message`] for the agent.

use crate::agent::Message;
use crate::policy::Drop;
use crate::transport::Received;
use crate::wire::topic::{About, NEXT, route};
use crate::wire::{Block, Document, Format, JobsAnswer, decode_block, parse_describe, parse_stream_error};

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
    let payload = received.payload;
    let Some((about, first, id)) = route(received.topic, thing) else {
        return Message::Useless(Drop::Unknown);
    };
    let format = if first { Format::Cbor } else { Format::Json };
    match about {
        About::Notify if first => return Message::Notify,
        About::Notify | About::StreamDescription => return Message::Useless(Drop::Unknown),
        About::Data => {
            if let Ok(block) = decode_block(format, payload, scratch) {
                let Block { file_id, block_id, payload: data } = block;
                return Message::Block { stream: id, file_id, block_id, data };
            }
        }
        About::StreamRejected => {
            if let Ok(error) = parse_stream_error(format, payload) {
                return Message::StreamRejected { stream: id, code: error.code };
            }
        }
        About::Describe | About::Update => {
            let described = about == About::Describe;
            let mut answer = JobsAnswer::none();
            if answer.read(payload, described && first).is_ok() {
                let job_id = (id != NEXT).then_some(id);
                return match described {
                    true => Message::Described { job_id, accepted: first, answer },
                    false => Message::Updated { job_id: id, accepted: first, answer },
                };
            }
        }
    }
    Message::Useless(Drop::Undecodable)
}

/// The document of the custom job in `payload`.
pub(super) fn custom_document(payload: &[u8]) -> Option<&[u8]> {
    match parse_describe(payload).ok()?.execution?.document() {
        Document::Custom(document) => Some(document),
        Document::Absent | Document::Ota(_) | Document::Malformed(_) => None,
    }
}
