//! What goes into a step and what comes out of it.

use crate::boot::{ImageState, Withdrawn};
use crate::command::Command;
use crate::journal::Record;
use crate::policy::{Answer, Drop, Question};
use crate::slot::{Compared, FlashError};
use crate::trailer::Pending;
use crate::transport::RangeError;
use crate::verify::{SignedBundle, Verified, VerifyError};
use crate::wire::{JobsAnswer, StreamErrorCode};

/// What happened: the completion of the action asked for last, or (while it was waiting) a message, a timeout or a word of
/// the application.
#[derive(Debug)]
pub enum Input<'m> {
    /// The first input after [`Agent::new`](super::Agent::new). Also right at any other time: it starts over as after a reset.
    Start,
    /// The action is done.
    Done,
    /// The action failed.
    Failed(Failure),
    /// A message arrived while receiving. The driver keeps it until the agent receives or publishes again.
    Message(&'m Message<'m>),
    /// The journal's newest record.
    Loaded(Option<&'m Record>),
    /// What the bootloader left for an image.
    Boot(ImageState),
    /// How flash compares with the range of the message in hand.
    Compared(Compared),
    /// The file is verified.
    Verified(Verified),
    /// The job's signature signs the bundle, whose images are still to be verified one by one.
    Signed(SignedBundle),
    /// The request for a swap is taken back.
    Withdrawn(Withdrawn),
    /// The policy's answer.
    Answer(Answer),
    /// The time the agent gave for receiving or pausing is over.
    Timeout,
    /// The driver was dropped with an action under way and runs again: a flash action may or may not have happened, a
    /// network action is as good as unanswered.
    ActionLost,
    /// A word of the application, offered before receiving or pausing.
    Command(Command),
}

/// Why an action failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Failure {
    /// The link is lost or could not be made.
    Link,
    /// The link is up but cannot take this now, or the broker refused it.
    Refused,
    /// Flash failed.
    Flash(FlashError),
    /// The file does not verify.
    Verify(VerifyError),
}

/// A message of the cloud, decoded. Strings borrow the message in hand.
#[derive(Clone, Debug)]
pub enum Message<'m> {
    /// Answer to a describe request, of `$next` or of the job with this id.
    Described {
        /// The id in the topic; `None`: `$next`.
        job_id: Option<&'m str>,
        /// The request was accepted, not rejected.
        accepted: bool,
        /// The answer.
        answer: JobsAnswer<'m>,
    },
    /// Answer to a status update.
    Updated {
        /// The job.
        job_id: &'m str,
        /// The request was accepted, not rejected.
        accepted: bool,
        /// The answer.
        answer: JobsAnswer<'m>,
    },
    /// The next job changed; what it changed to is asked for, never believed.
    Notify,
    /// A block of a stream.
    Block {
        /// The stream it came from.
        stream: &'m str,
        /// File id.
        file_id: u32,
        /// Block number in the file.
        block_id: u32,
        /// The payload, of which the actions name parts.
        data: &'m [u8],
    },
    /// A stream request was refused.
    StreamRejected {
        /// The stream.
        stream: &'m str,
        /// Why.
        code: StreamErrorCode,
    },
    /// The next block of the open range, of the plane over HTTP.
    RangeBlock {
        /// The payload, of which the actions name parts.
        data: &'m [u8],
    },
    /// The open range came to nothing.
    RangeFailed(RangeError),
    /// Not ours, or not decodable.
    Useless(Drop),
}

/// What to do next. Exactly one action is outstanding; parts are of the block in the message in hand.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    /// Load the journal's newest record → [`Input::Loaded`].
    Load,
    /// Inspect an image's slots → [`Input::Boot`].
    Inspect {
        /// The image.
        image: u8,
    },
    /// Drop the link, if there is one, and connect.
    Connect,
    /// Drop the link and stay offline.
    Disconnect,
    /// Subscribe ([`Agent::filters`](super::Agent::filters)).
    Subscribe(Subscription),
    /// Publish ([`Agent::encode`](super::Agent::encode)). Releases the message in hand.
    Publish(Publication),
    /// Ask for a range of a file over HTTP and, from now on, take its blocks in whenever the agent receives. Done at once.
    OpenRange(RangeRequest),
    /// Close the open range. Done at once.
    CloseRange,
    /// Receive a message, or time out. Releases the message in hand.
    Receive {
        /// When to time out, milliseconds.
        until_ms: u64,
    },
    /// Wait, offline. Releases the message in hand.
    Pause {
        /// Until when, milliseconds.
        until_ms: u64,
    },
    /// Ask the application's policy → [`Input::Answer`].
    Consult(Question),
    /// Erase one sector of an image's secondary slot.
    Erase {
        /// The image.
        image: u8,
        /// The sector, counted from the one that holds the slot's first byte.
        sector: u32,
    },
    /// Compare a part of the block in hand with flash → [`Input::Compared`]; when equal and `hash`, run the digest over it.
    Compare(Part),
    /// Write a part of the block in hand and read it back; if `hash`, run the digest over it.
    Write(Part),
    /// Run the digest over a part of the block in hand that no slot keeps: headers, list and padding of a bundle. `at` counts
    /// from byte 0 of the file; from there the digest starts anew.
    HashHeld(Part),
    /// Read `from..to` of the image back and run the digest over it; from byte 0 of the file ([`Agent::digest_offset`](super::Agent::digest_offset))
    /// the digest starts anew.
    Hash {
        /// The image.
        image: u8,
        /// First byte.
        from: u32,
        /// One past the last byte.
        to: u32,
    },
    /// Write a journal record ([`Agent::record`](super::Agent::record)).
    Record,
    /// Verify the file → [`Input::Verified`] ([`Agent::signature`](super::Agent::signature)). A bundle
    /// ([`Agent::is_bundle`](super::Agent::is_bundle)) → [`Input::Signed`], and its images after that with
    /// [`Agent::bundle_proof`](super::Agent::bundle_proof).
    Verify {
        /// The image.
        image: u8,
        /// The file, as numbered in the job.
        file: u8,
        /// Bytes of the file.
        size: u32,
    },
    /// Ask the bootloader for the swap, with the token that proves it may ([`Agent::take_token`](super::Agent::take_token)).
    SetPending {
        /// The image.
        image: u8,
        /// For how long.
        pending: Pending,
    },
    /// Take the request for a swap back → [`Input::Withdrawn`].
    Withdraw {
        /// The image.
        image: u8,
    },
    /// Confirm the running image.
    Confirm {
        /// The image.
        image: u8,
    },
    /// Nothing more to do.
    Finish(Outcome),
}

/// A part of a block that lies within one sector.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Part {
    /// The image.
    pub image: u8,
    /// Offset in the image.
    pub at: u32,
    /// First byte in the block's payload.
    pub from: u32,
    /// One past the last byte in the block's payload.
    pub to: u32,
    /// The digest has reached exactly this part: run it over these bytes too.
    pub hash: bool,
}

/// A range of a file over HTTP; whole blocks, the last of a file short.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RangeRequest {
    /// The file, as numbered in the job ([`Agent::url`](super::Agent::url)).
    pub file: u8,
    /// First byte.
    pub from: u32,
    /// One past the last byte.
    pub to: u32,
    /// Bytes of the whole file.
    pub size: u32,
}

/// Topic filters asked for together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Subscription {
    /// `notify-next` and the answers of Jobs.
    Jobs,
    /// Blocks and rejections of the held job's stream.
    Stream,
}

/// Something to publish.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Publication {
    /// A request to AWS IoT Jobs that waits for its answer.
    Jobs(Request),
    /// Progress of the download: fire and forget.
    Progress,
    /// A request for blocks ([`Agent::block_request`](super::Agent::block_request)).
    Blocks,
}

/// A request to AWS IoT Jobs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Request {
    /// Describe the next job.
    Next {
        /// With its document.
        document: bool,
    },
    /// Describe the held job.
    Held {
        /// With its document.
        document: bool,
    },
    /// Report the held job's status.
    Report(Report),
}

/// A status that is reported until accepted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Report {
    /// `IN_PROGRESS`, `self_test: ready`: verified, about to activate.
    Ready,
    /// `IN_PROGRESS`, `self_test: active`: the new image runs.
    Active,
    /// `SUCCEEDED`.
    Succeeded,
    /// `FAILED` or `REJECTED`.
    Ended,
}

/// Why the agent finished.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// Reset the device now: a swap is requested, or an unconfirmed image is to be taken back.
    Reset,
    /// The application said [`Command::ShutDown`].
    Stopped,
}
