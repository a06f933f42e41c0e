//! Every action that needs no link: flash, journal, verification, the application's policy.

use super::decode::{Held, custom_document, decode};
use crate::agent::{Action, Agent, Failure, Input, Part};
use crate::boot::{Controlled, ImageState, Images, Operation, Withdrawn};
use crate::image::Header;
use crate::journal::{Journal, Record};
use crate::policy::{Answer, Observer, Policy, Question};
use crate::slot::{Compared, FlashError};
use crate::transport::Received;
use crate::verify::{Digest, Rules, Scheme, SignedBundle, Verified, verify, verify_bundle, verify_member};

/// Bytes read at once while hashing.
const READ_SIZE: usize = 512;

/// Slots, journal, keys, policy and observer of a device.
pub struct Local<'d, I, J, P, O, S> {
    /// The images and their slots.
    pub images: I,
    /// The journal, or [`NoJournal`](crate::journal::NoJournal).
    pub journal: J,
    /// What a file must fulfil before it may boot.
    pub rules: Rules<'d, S>,
    /// May we?
    pub policy: P,
    /// What happens.
    pub observer: O,
    /// SHA-256 along the front of what flash holds.
    digest: Digest,
}

/// The completion of an action; an [`Input`] that owns what it carries.
// It lives on the stack for one step; a box is what this library does not have.
#[allow(clippy::large_enum_variant)]
pub enum Completion {
    /// Done.
    Done,
    /// Failed.
    Failed(Failure),
    /// The journal's newest record.
    Loaded(Option<Record>),
    /// What the bootloader left.
    Boot(ImageState),
    /// How flash compares.
    Compared(Compared),
    /// The file is verified.
    Verified(Verified),
    /// The job's signature signs the bundle.
    Signed(SignedBundle),
    /// The request is taken back.
    Withdrawn(Withdrawn),
    /// The policy's answer.
    Answer(Answer),
}

impl<'d, I: Images, J: Journal, P: Policy, O: Observer, S: Scheme> Local<'d, I, J, P, O, S> {
    /// Puts the parts together.
    pub fn new(images: I, journal: J, rules: Rules<'d, S>, policy: P, observer: O) -> Self {
        Local { images, journal, rules, policy, observer, digest: Digest::new() }
    }

    /// The digest is of nothing: called when the driver starts, since the agent then hashes from the start.
    pub fn forget_digest(&mut self) {
        self.digest = Digest::new();
    }

    /// True for the actions [`perform`](Self::perform) is for.
    pub fn can_perform(action: &Action) -> bool {
        match action {
            Action::Load
            | Action::Inspect { .. }
            | Action::Consult(_)
            | Action::Erase { .. }
            | Action::Compare(_)
            | Action::Write(_)
            | Action::HashHeld(_)
            | Action::Hash { .. }
            | Action::Record
            | Action::Verify { .. }
            | Action::SetPending { .. }
            | Action::Withdraw { .. }
            | Action::Confirm { .. } => true,
            Action::Connect
            | Action::Disconnect
            | Action::Subscribe(_)
            | Action::Publish(_)
            | Action::OpenRange(_)
            | Action::CloseRange
            | Action::Receive { .. }
            | Action::Pause { .. }
            | Action::Finish(_) => false,
        }
    }

    /// Performs the outstanding action, which needs no link. `held` is the message in hand.
    ///
    /// Dropping the future leaves flash as a power cut in that place would.
    pub async fn perform(&mut self, agent: &mut Agent<'_>, held: &Held<'_>) -> Completion {
        match *agent.action() {
            Action::Write(part) => {
                let bytes = held.part(part.from, part.to);
                match self.images.write(part.image, part.at, bytes).await {
                    Ok(()) => {
                        self.hash_part(agent, &part, bytes);
                        Completion::Done
                    }
                    Err(error) => Completion::Failed(Failure::Flash(error)),
                }
            }
            Action::Compare(part) => {
                let bytes = held.part(part.from, part.to);
                match self.images.compare(part.image, part.at, bytes).await {
                    Ok(compared) => {
                        if compared == Compared::Equal {
                            self.hash_part(agent, &part, bytes);
                        }
                        Completion::Compared(compared)
                    }
                    Err(error) => Completion::Failed(Failure::Flash(error)),
                }
            }
            Action::Erase { image, sector } => done(self.images.erase(image, sector).await),
            Action::HashHeld(part) => {
                self.hash_at(part.at, held.part(part.from, part.to));
                Completion::Done
            }
            Action::Hash { image, from, to } => {
                done(self.hash(image, from, to, agent.digest_offset(image)).await)
            }
            Action::Record => done(self.journal.append(&agent.record()).await),
            Action::Load => match self.journal.load().await {
                Ok(record) => Completion::Loaded(record),
                Err(error) => Completion::Failed(Failure::Flash(error)),
            },
            Action::Inspect { image } => self.control(image, Operation::Inspect).await,
            Action::Consult(Question::Custom) => Completion::Answer(match custom_document(held.payload) {
                Some(document) => self.policy.custom_job(agent.job_id(), document),
                None => Answer::No,
            }),
            Action::Consult(question) => Completion::Answer(self.policy.consult(&question)),
            Action::Verify { image, file, size } => {
                let digest = core::mem::take(&mut self.digest);
                let (images, rules) = (&mut self.images, &self.rules);
                if agent.is_bundle() {
                    return match verify_bundle(images, size, digest, agent.signature(file), rules) {
                        Ok(proof) => Completion::Signed(proof),
                        Err(error) => Completion::Failed(Failure::Verify(error)),
                    };
                }
                let verified = match agent.bundle_proof() {
                    Some(proof) => verify_member(images, image, size, digest, proof, rules).await,
                    None => verify(images, image, size, digest, agent.signature(file), rules).await,
                };
                match verified {
                    Ok(token) => Completion::Verified(token),
                    Err(error) => Completion::Failed(Failure::Verify(error)),
                }
            }
            Action::SetPending { image, pending } => match agent.take_token() {
                Some(token) => self.control(image, Operation::SetPending(token, pending)).await,
                None => Completion::Failed(Failure::Refused),
            },
            Action::Withdraw { image } => self.control(image, Operation::Withdraw).await,
            Action::Confirm { image } => self.control(image, Operation::Confirm).await,
            Action::Connect
            | Action::Disconnect
            | Action::Subscribe(_)
            | Action::Publish(_)
            | Action::OpenRange(_)
            | Action::CloseRange
            | Action::Receive { .. }
            | Action::Pause { .. }
            | Action::Finish(_) => Completion::Failed(Failure::Refused),
        }
    }

    async fn control(&mut self, image: u8, operation: Operation) -> Completion {
        match self.images.control(image, operation).await {
            Ok(Controlled::Done) => Completion::Done,
            Ok(Controlled::Inspected(state)) => Completion::Boot(state),
            Ok(Controlled::Withdrawn(withdrawn)) => Completion::Withdrawn(withdrawn),
            Err(error) => Completion::Failed(Failure::Flash(error)),
        }
    }

    /// Runs the digest over bytes that flash was just seen to hold.
    fn hash_part(&mut self, agent: &Agent<'_>, part: &Part, bytes: &[u8]) {
        if part.hash {
            self.hash_at(part.at.saturating_add(agent.digest_offset(part.image)), bytes);
        }
    }

    /// Runs the digest over bytes at this offset of the file.
    fn hash_at(&mut self, at: u32, bytes: &[u8]) {
        if at == 0 {
            self.begin_digest(bytes);
        }
        // A digest at another place would end in a bad signature; better in a second look at flash.
        if self.digest.position() == at {
            self.digest.update(bytes);
        }
    }

    fn begin_digest(&mut self, front: &[u8]) {
        self.digest = Digest::new();
        if let Some(end) = Header::parse(front).ok().and_then(|header| header.hashed_size()) {
            self.digest.set_image_end(end);
        }
    }

    async fn hash(&mut self, image: u8, from: u32, to: u32, offset: u32) -> Result<(), FlashError> {
        let mut buffer = [0; READ_SIZE];
        let mut at = from;
        while at < to {
            let len = (to - at).min(READ_SIZE as u32) as usize;
            let Some(piece) = buffer.get_mut(..len) else { return Err(FlashError::OutOfBounds) };
            self.images.read(image, at, piece).await?;
            self.hash_at(at.saturating_add(offset), piece);
            at += len as u32;
        }
        Ok(())
    }

    /// Takes a message: what the agent wants next is its [`action`](Agent::action), and what its parts are parts of is
    /// answered. `scratch` takes the payload of a block that came as JSON.
    pub fn receive<'m>(
        &mut self,
        agent: &mut Agent<'_>,
        now_ms: u64,
        received: &Received<'m>,
        scratch: &'m mut [u8],
    ) -> Held<'m> {
        // A block in hand is nothing to tell the observer.
        if let Some(block) = agent.take_block(now_ms, received) {
            return Held { block, payload: received.payload };
        }
        let message = match agent.read_block(received) {
            Some(message) => message,
            None => decode(agent.config().thing_name, received, scratch),
        };
        self.step(agent, now_ms, Input::Message(&message));
        Held::new(&message, received.payload)
    }

    /// Steps the agent and tells the observer what changed.
    #[inline(always)]
    pub fn step(&mut self, agent: &mut Agent<'_>, now_ms: u64, input: Input<'_>) -> Action {
        if matches!(input, Input::Done) && agent.hold_block(now_ms) {
            let (held, total) = agent.progress();
            self.observer.progress(held, total);
        } else {
            self.other_step(agent, now_ms, input);
        }
        *agent.action()
    }

    #[inline(never)]
    fn other_step(&mut self, agent: &mut Agent<'_>, now_ms: u64, input: Input<'_>) {
        let state = agent.state().kind();
        let progress = agent.progress();
        let dropped = agent.statistics().dropped;
        agent.other_step(now_ms, input);
        let now = agent.state().kind();
        if now != state {
            self.observer.state(state, now);
        }
        let (held, total) = agent.progress();
        if (held, total) != progress {
            self.observer.progress(held, total);
        }
        if let Some(why) = agent.statistics().last_drop.filter(|_| agent.statistics().dropped != dropped) {
            self.observer.dropped(why, agent.statistics().dropped);
        }
        if let Some(how) = agent.take_ended() {
            self.observer.ended(how);
        }
    }

    /// [`step`](Self::step) with what [`perform`](Self::perform) brought.
    pub fn step_with(&mut self, agent: &mut Agent<'_>, now_ms: u64, completion: Completion) -> Action {
        let input = match completion {
            Completion::Done => Input::Done,
            Completion::Failed(failure) => Input::Failed(failure),
            Completion::Loaded(ref record) => Input::Loaded(record.as_ref()),
            Completion::Boot(state) => Input::Boot(state),
            Completion::Compared(compared) => Input::Compared(compared),
            Completion::Verified(token) => Input::Verified(token),
            Completion::Signed(proof) => Input::Signed(proof),
            Completion::Withdrawn(withdrawn) => Input::Withdrawn(withdrawn),
            Completion::Answer(answer) => Input::Answer(answer),
        };
        self.step(agent, now_ms, input)
    }
}

fn done(result: Result<(), FlashError>) -> Completion {
    match result {
        Ok(()) => Completion::Done,
        Err(error) => Completion::Failed(Failure::Flash(error)),
    }
}
