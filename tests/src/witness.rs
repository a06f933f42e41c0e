//! A journal that is not believed: what a record says flash holds is looked up in flash.

use std::cmp::Ordering;
use std::ops::Range;

use base64ct::{Base64, Encoding as _};
use ota_core::journal::{Journal, Phase, Record};
use ota_core::slot::FlashError;
use ota_sim::aws::OtaSpec;
use sha2::{Digest as _, Sha256};

use crate::scenario::Factory;

/// A journal beside a look at flash.
pub(crate) struct Witness<'w, J> {
    pub(crate) journal: J,
    /// Panics where flash does not hold what a record promises.
    pub(crate) check: &'w dyn Fn(&Record),
}

impl<J: Journal> Journal for Witness<'_, J> {
    async fn load(&mut self) -> Result<Option<Record>, FlashError> {
        let loaded = self.journal.load().await;
        // Once a swap is asked for, the bootloader may have taken what the record speaks of.
        if let Ok(Some(record)) = &loaded
            && record.phase() == Phase::Downloading
        {
            (self.check)(record);
        }
        loaded
    }

    async fn append(&mut self, record: &Record) -> Result<(), FlashError> {
        if !matches!(record.phase(), Phase::Pending | Phase::Testing | Phase::Confirmed) {
            (self.check)(record);
        }
        self.journal.append(record).await
    }
}

/// What records of the jobs offered may speak of.
pub(crate) struct Promises(Vec<Job>);

struct Job {
    /// Identity of its data, as records have it.
    digest: [u8; 32],
    /// In the order of records: from the last image to the first.
    files: Vec<File>,
}

struct File {
    content: Vec<u8>,
    /// The images in it, and where each lies.
    images: Vec<(usize, Range<usize>)>,
}

impl Promises {
    pub(crate) fn new(factory: &Factory) -> Self {
        Self(
            factory
                .specs
                .iter()
                .enumerate()
                .map(|(offer, (_, spec))| Job::new(factory, offer, spec))
                .collect(),
        )
    }

    /// How many blocks the record promises, each of which the slots hold as far as it belongs there; `read` reads so many bytes
    /// of an image's slot, from where its file goes.
    pub(crate) fn check(&self, record: &Record, read: impl Fn(usize, usize) -> Vec<u8>) -> u32 {
        let Some(job) = self.0.iter().find(|job| job.digest == *record.job_digest()) else { return 0 };
        let size = record.block_size() as usize;
        let mut promised = 0;
        for (number, file) in (0..).zip(&job.files) {
            let is_promised = |block| match number.cmp(&record.file_index()) {
                Ordering::Less => true,
                Ordering::Equal => record.is_held(block),
                Ordering::Greater => false,
            };
            for (image, place) in &file.images {
                let slot = read(*image, place.len());
                for (block, from) in (0..).zip((0..file.content.len()).step_by(size)) {
                    let part = from.max(place.start)..(from + size).min(place.end);
                    if !is_promised(block) || part.is_empty() {
                        continue;
                    }
                    promised += 1;
                    let held = &slot[part.start - place.start..part.end - place.start];
                    let phase = record.phase();
                    assert!(
                        held == &file.content[part],
                        "{phase:?}: block {block} of file {number} is not held"
                    );
                }
            }
        }
        promised
    }
}

impl Job {
    fn new(factory: &Factory, offer: usize, spec: &OtaSpec) -> Self {
        let mut digest = Sha256::new();
        for file in &spec.files {
            let signature = file.signature.as_ref().and_then(|(_, text)| Base64::decode_vec(text).ok());
            digest.update((file.content.len() as u32).to_le_bytes());
            digest.update([file.id]);
            digest.update(signature.unwrap_or_default());
        }
        let files = spec.files.iter().rev().map(|file| {
            let whole = vec![(usize::from(file.id), 0..file.content.len())];
            let images = factory.bundled.get(offer).map_or(whole, |images| {
                images
                    .iter()
                    .enumerate()
                    .filter_map(|(number, image)| Some((number, place(&file.content, image)?)))
                    .collect()
            });
            File { content: file.content.clone(), images }
        });
        Self { digest: digest.finalize().into(), files: files.collect() }
    }
}

/// Where an image lies in a bundle.
fn place(bundle: &[u8], image: &[u8]) -> Option<Range<usize>> {
    let at = bundle.windows(image.len()).position(|part| part == image)?;
    Some(at..at + image.len())
}
