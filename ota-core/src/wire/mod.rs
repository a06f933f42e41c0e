//! The bytes that travel: topics, Jobs JSON, stream messages.
//!
//! Everything here borrows the message it reads and writes into memory the caller gives. Nothing allocates, recurses or
//! panics, whatever the message holds; nesting and counts are bounded. Meaning is judged elsewhere: this module only says
//! what a message says.
//!
//! | Module | Owns |
//! |---|---|
//! | [`topic`] | the topics of Jobs and streams, both ways |
//! | [`json`] | a pull parser for JSON: values and strings as views of the message |
//! | [`job`] | answers of AWS IoT Jobs |
//! | [`document`] | the OTA job document inside them |
//! | [`update`] | requests to AWS IoT Jobs |
//! | [`stream`] | blocks of a stream |
//! | [`request`] | requests for blocks |
//! | [`describe`] | asking what a stream holds, and the answer |
//! | [`rejection`] | rejected stream requests |
//! | `tar` (feature `bundle`) | several images in one file |
//! | [`base64`] | strict base64 out of and into caller memory |

pub mod base64;
mod cbor;
pub mod describe;
pub mod document;
mod field;
pub mod job;
pub mod json;
pub mod rejection;
pub mod request;
mod scan;
pub mod stream;
#[cfg(feature = "bundle")]
pub mod tar;
mod text;
pub mod topic;
pub mod update;
pub(crate) mod words;
pub(crate) mod writer;

pub use base64::Base64Error;
pub use describe::{StreamDescription, StreamFile, encode_describe_stream, parse_description};
pub use document::{Document, DocumentError, File, OtaDocument, Protocols};
pub use job::{Details, Execution, JobStatus, JobsAnswer, RejectedCode, Token, parse_describe, parse_update};
pub use json::{JsonError, Text};
pub use rejection::{StreamError, StreamErrorCode, parse_stream_error};
pub use request::{GetStream, parse_get_stream};
pub use stream::{Block, StreamDecodeError, decode_block, encode_block};
pub use topic::{Format, Incoming, ThingName, Topic, TopicError};
pub use update::{Update, encode_describe, encode_update};
pub use writer::{EncodeError, MAX_TOKEN_SIZE};
