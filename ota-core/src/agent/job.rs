//! What is kept of a job execution: its identities, its files, its signatures.

use super::bundle::Bundle;
use super::{Config, MAX_IMAGES, Plane};
use crate::bytes::copy;
use crate::script::buffer;
use crate::sha256::Sha256;
use crate::status::{Reason, reason_of_document};
use crate::wire::base64;
use crate::wire::topic::{self, Tail};
use crate::wire::{Execution, Format, JobStatus, OtaDocument, Text};

/// A range of the [`Arena`].
#[derive(Clone, Copy, Default)]
pub(crate) struct Span {
    start: u16,
    len: u16,
}

impl Span {
    const NONE: Self = Self { start: 0, len: 0 };

    /// Of something that is not empty: it did fit.
    fn fit(self) -> Result<Self, Reason> {
        if self.len > 0 { Ok(self) } else { Err(Reason::DocumentTooLarge) }
    }
}

/// Strings of the held job, in memory the caller gave.
pub(crate) struct Arena<'a> {
    bytes: &'a mut [u8],
    used: u16,
}

impl<'a> Arena<'a> {
    pub(crate) fn new(bytes: &'a mut [u8]) -> Self {
        // No span reaches further.
        Self { bytes: buffer(bytes, u16::MAX.into()), used: 0 }
    }

    pub(crate) fn clear(&mut self) {
        self.used = 0;
    }

    /// What is not used yet.
    fn room(&mut self) -> &mut [u8] {
        self.bytes.get_mut(usize::from(self.used)..).unwrap_or_default()
    }

    /// Keeps the first `len` bytes of the room; empty where there are not so many.
    #[inline(never)]
    fn keep(&mut self, len: usize) -> Span {
        match u16::try_from(len) {
            Ok(len) if usize::from(len) <= self.room().len() => {
                let start = self.used;
                self.used = start.wrapping_add(len);
                Span { start, len }
            }
            _more => Span::NONE,
        }
    }

    /// Keeps `text`; empty where there is no room for it.
    pub(crate) fn push(&mut self, text: &[u8]) -> Span {
        let Some(room) = self.room().get_mut(..text.len()) else { return Span::NONE };
        copy(room, text);
        self.keep(text.len())
    }

    pub(crate) fn get(&self, span: Span) -> &[u8] {
        let start = usize::from(span.start);
        self.bytes.get(start..start + usize::from(span.len)).unwrap_or(&[])
    }

    pub(crate) fn text(&self, span: Span) -> &str {
        core::str::from_utf8(self.get(span)).unwrap_or("")
    }
}

/// A number that may be unknown: kept as one more, so that 0 is that.
#[derive(Clone, Copy)]
pub(crate) struct Number(u32);

impl Number {
    pub(crate) const UNKNOWN: Self = Self(0);

    pub(crate) fn of(number: Option<u32>) -> Self {
        number.map_or(Self::UNKNOWN, |number| Self(number.wrapping_add(1)))
    }

    pub(crate) fn get(self) -> Option<u32> {
        self.0.checked_sub(1)
    }
}

/// One file of the held job.
#[derive(Clone, Copy, Default)]
pub(crate) struct File {
    /// File id in the stream.
    pub(crate) id: u8,
    /// The image it is for.
    pub(crate) image: u8,
    /// Bytes.
    pub(crate) size: u32,
    /// The job's signature over the file, decoded (DER for ECDSA).
    pub(crate) signature: Span,
    /// Where it lies for the plane over HTTP; a secret, never logged.
    pub(crate) url: Span,
}

impl File {
    pub(crate) const NONE: Self = Self { id: 0, image: 0, size: 0, signature: Span::NONE, url: Span::NONE };
}

/// The held job execution. `id` empty: none is held.
pub(crate) struct Job {
    pub(crate) id: Span,
    /// The topic its blocks come on as CBOR, with the stream's name in it; empty: there is no stream.
    pub(crate) block_topic: Span,
    /// 0 where the service did not say.
    pub(crate) execution: u64,
    /// The version number the next versioned update expects.
    pub(crate) version: Number,
    /// The execution is `IN_PROGRESS`: from here on a judgement is reported as `FAILED`.
    pub(crate) started: bool,
    /// The document is here: stream, files and signatures are set.
    pub(crate) loaded: bool,
    pub(crate) files: [File; MAX_IMAGES],
    pub(crate) file_count: u8,
    /// The planes that the document offers and this device has.
    pub(crate) mqtt: bool,
    pub(crate) http: bool,
    /// Where the URLs begin in the arena: they are replaced when they expire.
    pub(crate) urls_at: u16,
    /// Identity of the data: SHA-256 over every file's size, image and signature.
    pub(crate) digest: [u8; 32],
    /// `statusDetails.updatedBy` as the service or the journal had it; 0: not known.
    pub(crate) updated_by: u32,
    /// What is known of the file, if it is a bundle.
    pub(crate) bundle: Bundle,
}

impl Job {
    /// None is held.
    pub(crate) const NONE: Self = Self {
        id: Span::NONE,
        block_topic: Span::NONE,
        execution: 0,
        version: Number::UNKNOWN,
        started: false,
        loaded: false,
        files: [File::NONE; MAX_IMAGES],
        file_count: 0,
        mqtt: false,
        http: false,
        urls_at: 0,
        digest: [0; 32],
        updated_by: 0,
        bundle: Bundle::NONE,
    };

    pub(crate) fn is_held(&self) -> bool {
        self.id.len > 0
    }

    /// Status and version as the service says they are now.
    pub(crate) fn refresh(&mut self, execution: &Execution<'_>) {
        self.execution = execution.execution_number.unwrap_or(self.execution);
        if execution.version_number.is_some() {
            self.version = Number::of(execution.version_number);
        }
        self.started = match execution.status {
            JobStatus::Queued => false,
            JobStatus::InProgress
            | JobStatus::Failed
            | JobStatus::Succeeded
            | JobStatus::Canceled
            | JobStatus::TimedOut
            | JobStatus::Rejected
            | JobStatus::Removed => true,
        };
        // What this device wrote down outranks what the service stored last.
        if let (0, Some(updated_by)) = (self.updated_by, execution.updated_by()) {
            self.updated_by = updated_by;
        }
    }

    /// An update was accepted, and its number is not told.
    pub(crate) fn count_version(&mut self) {
        self.version = Number::of(self.version.get().map(|version| version.saturating_add(1)));
    }

    /// Takes the document over. Every check that needs no byte of the image is made here. A file of up to `bundle_size`
    /// bytes may be a bundle.
    pub(crate) fn load(
        &mut self,
        arena: &mut Arena<'_>,
        config: &Config<'_>,
        document: &OtaDocument<'_>,
        bundle_size: u32,
    ) -> Result<(), Reason> {
        self.bundle = Bundle::NONE;
        if document.file_count() > MAX_IMAGES {
            return Err(Reason::TooManyFiles);
        }
        let protocols = document.protocols;
        self.mqtt = protocols.mqtt && config.planes.contains(&Plane::Mqtt);
        self.http = protocols.http && config.planes.contains(&Plane::Http);
        if !(self.mqtt || self.http) {
            return Err(Reason::UnknownProtocol);
        }
        self.block_topic = Span::NONE;
        if protocols.mqtt {
            let stream = document.stream.ok_or(Reason::DocumentMalformed)?;
            let names = (config.thing_name, stream);
            let len = topic::write(arena.room(), names, Tail::Data, Format::Cbor);
            self.block_topic = arena.keep(len.unwrap_or_default()).fit()?;
        }
        let mut identity = Sha256::default();
        self.file_count = 0;
        for file in document.files() {
            let file = match file {
                Ok(file) => file,
                Err(error) => return Err(reason_of_document(error)),
            };
            // AWS' conformance suite wants a document without a file name refused, though the name is never used.
            if file.path.is_none() {
                return Err(Reason::DocumentMalformed);
            }
            let image = config.destination(file.id, file.file_type).ok_or(Reason::NoDestination)?;
            for held in self.files.iter().take(self.file_count.into()) {
                if held.id == file.id {
                    return Err(Reason::DuplicateFileId);
                }
                if held.image == image {
                    return Err(Reason::DuplicateDestination);
                }
            }
            let layout = config.images.get(usize::from(image)).ok_or(Reason::NoDestination)?;
            if file.size > layout.max_image_size().max(bundle_size) {
                return Err(Reason::FileTooLarge);
            }
            let signature = decode_signature(arena, file.signature.ok_or(Reason::Unsigned)?)?;
            let [a, b, c, d] = file.size.to_le_bytes();
            identity.update(&[a, b, c, d, image]);
            identity.update(arena.get(signature));
            self.add_file(File { id: file.id, image, size: file.size, signature, url: Span::NONE });
        }
        if self.file_count == 0 {
            return Err(Reason::DocumentMalformed);
        }
        self.digest = identity.finish();
        self.urls_at = arena.used;
        if self.http {
            self.load_urls(arena, document)?;
        }
        self.loaded = true;
        Ok(())
    }

    /// Puts a file where it belongs: images are set pending in this order, the application last (DESIGN.md, several images).
    /// There is room for one file an image.
    pub(crate) fn add_file(&mut self, file: File) {
        let (mut file, end) = (file, usize::from(self.file_count));
        for (at, place) in self.files.iter_mut().enumerate() {
            if at == end || at < end && place.image < file.image {
                core::mem::swap(place, &mut file);
            }
        }
        self.file_count += 1;
    }

    /// Takes the URLs over, new ones in place of those held.
    pub(crate) fn load_urls(
        &mut self,
        arena: &mut Arena<'_>,
        document: &OtaDocument<'_>,
    ) -> Result<(), Reason> {
        arena.used = arena.used.min(self.urls_at);
        for file in document.files() {
            let file = match file {
                Ok(file) => file,
                Err(error) => return Err(reason_of_document(error)),
            };
            let url = file.url.ok_or(Reason::DocumentMalformed)?;
            let len = url.write(arena.room()).map_err(|_| Reason::DocumentTooLarge)?;
            let span = arena.keep(len).fit()?;
            for held in &mut self.files {
                if held.id == file.id && held.size == file.size {
                    held.url = span;
                }
            }
        }
        Ok(())
    }

    pub(crate) fn offers(&self, plane: Plane) -> bool {
        match plane {
            Plane::Mqtt => self.mqtt,
            Plane::Http => self.http,
        }
    }

    #[inline(never)]
    pub(crate) fn file(&self, index: u8) -> &File {
        self.files.get(usize::from(index)).unwrap_or(&File::NONE)
    }
}

/// JSON text → base64 → bytes, in the arena.
fn decode_signature(arena: &mut Arena<'_>, text: Text<'_>) -> Result<Span, Reason> {
    match base64::decode_text(text, arena.room()) {
        Ok(0) => Err(Reason::Unsigned),
        Ok(len) => arena.keep(len).fit(),
        Err(base64::Base64Error::BufferTooSmall) => Err(Reason::DocumentTooLarge),
        Err(base64::Base64Error::Character | base64::Base64Error::Padding) => Err(Reason::SignatureInvalid),
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;

    #[test]
    fn an_arena_holds_what_its_spans_can_say() {
        let mut memory = std::vec![0; 100_000];
        let mut arena = Arena::new(&mut memory);
        let (first, second) = (arena.push(&[1; 40_000]), arena.push(&[2; 40_000]));
        assert_eq!((first.len, second.len), (40_000, 0));
        assert!(arena.get(first).iter().all(|byte| *byte == 1), "nothing was written over it");
    }
}
