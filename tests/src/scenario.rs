//! A whole update, from the factory image to the job's end, as data.

use ota_core::agent::Plane;
use ota_core::geometry::BootMode;
use ota_core::wire::Format;
use ota_psoc6::layout::Device;
use ota_sim::Version;
use ota_sim::aws::{LinkConfig, Message, OtaFile, OtaSpec, ServiceConfig};
use ota_sim::flash::Cut;
use ota_sim::image::{BundleBuilder, ImageBuilder, Key};

use crate::director::Event;
use crate::kind::Kind;
use crate::ranges::Object;
use crate::report::Report;
use crate::world::World;

/// Name of the device.
pub const THING: &str = "dev-7";
/// What runs before the first job.
pub(crate) const OLD: Version = Version::new(0, 9, 0, 0);
/// Name of the first job.
pub const JOB: &str = "AFR_OTA-rel-1";

/// What the new image makes of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SelfTest {
    /// It works.
    Pass,
    /// It does not.
    Fail,
    /// It never says.
    Hang,
}

/// When the driver's future is dropped, to be run again. Counted in polls over all boots; where drops are asked for, every
/// flash and network operation takes a poll of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drops {
    /// Never.
    Never,
    /// Once, after so many polls.
    Once(u32),
    /// Again and again, after so many polls at first and one more each time, so that lives do not end at one place for ever.
    Every(u32),
    /// Again and again, each time after so many polls.
    Always(u32),
}

/// Makes something of the n-th message that arrives: nothing, another one, or several.
pub type Mangle = fn(u32, Message) -> Vec<Message>;

/// Makes one file of the images of a job, in their order.
pub type Pack = fn(&[Vec<u8>]) -> Vec<u8>;

/// An honest bundle: the application first.
pub fn bundle(images: &[Vec<u8>]) -> Vec<u8> {
    let names = [("cm4.bin", "NSPE"), ("cm0p.bin", "SPE")];
    let members = names.iter().zip(images);
    members
        .fold(BundleBuilder::new("1.0.0"), |to, ((name, kind), image)| to.member(name, kind, image))
        .build()
}

/// A job that is offered.
#[derive(Clone, Debug)]
pub struct Offer {
    /// Its id.
    pub job: &'static str,
    /// Version of its image; 0.9.0 runs at first.
    pub version: Version,
    /// Number of the payload: offers with the same number and version are the same image.
    pub payload: u64,
    /// Changes the image of each image number before it is signed.
    pub build: fn(u8, ImageBuilder) -> ImageBuilder,
    /// Changes the job before it is queued. The key is the one the device trusts.
    pub tamper: fn(&mut OtaSpec, &Key),
}

impl Offer {
    /// An honest job.
    pub fn new(job: &'static str, version: Version) -> Self {
        Offer { job, version, payload: 1, build: |_, image| image, tamper: |_, _| {} }
    }
}

/// One device's life.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Source of everything random: keys, payloads, faults.
    pub seed: u64,
    /// The device.
    pub kind: Kind,
    /// Its bootloader.
    pub mode: BootMode,
    /// Images of the device, 1 or 2; file id n is for image n.
    pub image_count: u8,
    /// Packs the images of a job into one file, instead of a file for each.
    pub bundle: Option<Pack>,
    /// Bytes of a slot.
    pub slot_size: u32,
    /// With a journal.
    pub journal: bool,
    /// Bytes of each image's payload.
    pub payload: usize,
    /// Bytes of a block.
    pub block_size: u32,
    /// Encoding of blocks.
    pub format: Format,
    /// A journal record is written after so many blocks.
    pub record_blocks: u16,
    /// Jobs that are offered; the first is queued at the start, the others by events.
    pub offers: Vec<Offer>,
    /// The link's faults and limits.
    pub link: LinkConfig,
    /// How the service behaves.
    pub service: ServiceConfig,
    /// What a hostile network makes of the messages that arrive.
    pub mangle: Mangle,
    /// Power cuts, counted over the operations of application and bootloader; each from the one before on.
    pub cuts: Vec<Cut>,
    /// What else happens.
    pub events: Vec<Event>,
    /// Result of the self test.
    pub self_test: SelfTest,
    /// When the driver's future is dropped.
    pub drops: Drops,
    /// Answers `Yes` to everything the policy is asked.
    pub permissive: bool,
    /// The data planes of the device, in its order.
    pub planes: &'static [Plane],
    /// Memory for one session only: see `Config::one_session_ms`.
    pub one_session_ms: Option<u32>,
    /// Most bytes of a range; 0: no limit.
    pub range_size: u32,
    /// What the URL of a job over HTTP leads to.
    pub object: Object,
    /// Virtual milliseconds the whole may take.
    pub time_max_ms: u64,
}

impl Scenario {
    /// A good update of a small image on a perfect link.
    pub fn new(kind: Kind, mode: BootMode) -> Self {
        Scenario {
            seed: 1,
            kind,
            mode,
            image_count: 1,
            bundle: None,
            slot_size: kind.slot_size(),
            journal: true,
            payload: match kind {
                Kind::Nor4k => 20_000,
                Kind::Nor512 => 6_000,
                Kind::Nor32 => 14_000,
                Kind::Rows => 9_000,
                Kind::External | Kind::Map(_) => 40_000,
            },
            block_size: match kind {
                Kind::Nor512 | Kind::Rows => 512,
                Kind::Nor4k | Kind::Nor32 => 1024,
                Kind::External | Kind::Map(_) => 4096,
            },
            format: Format::Cbor,
            record_blocks: 4,
            offers: vec![Offer::new(JOB, Version::new(1, 0, 0, 0))],
            link: LinkConfig::default(),
            service: ServiceConfig::default(),
            mangle: |_, message| vec![message],
            cuts: Vec::new(),
            events: Vec::new(),
            self_test: SelfTest::Pass,
            drops: Drops::Never,
            permissive: false,
            planes: &[Plane::Mqtt],
            one_session_ms: None,
            range_size: 0,
            object: Object::default(),
            time_max_ms: 24 * 3_600_000,
        }
    }

    /// The same life with another first job.
    #[must_use]
    pub fn tampered(mut self, tamper: fn(&mut OtaSpec, &Key)) -> Self {
        self.offers[0].tamper = tamper;
        self
    }

    /// The same life with one more event.
    #[must_use]
    pub fn with(mut self, event: Event) -> Self {
        self.events.push(event);
        self
    }

    /// Plays it.
    pub fn run(&self) -> Report {
        self.run_with(&self.factory())
    }

    /// Plays it with images and jobs that were made before: making them takes as long as an update.
    pub fn run_with(&self, factory: &Factory) -> Report {
        match self.kind {
            Kind::Nor4k => World::<8, 4096, 8, 4096>::new(self, factory).play(),
            Kind::Nor512 => World::<1, 512, 1, 512>::new(self, factory).play(),
            Kind::Nor32 => World::<32, 2048, 32, 2048>::new(self, factory).play(),
            Kind::Rows => World::<512, 512, 512, 512>::new(self, factory).play(),
            Kind::External => World::<512, 512, 512, 0x40000>::new(self, factory).play(),
            Kind::Map(map) if map.secondary(0).device() == Some(Device::External) => {
                World::<512, 512, 512, 0x40000>::new(self, factory).play()
            }
            Kind::Map(_) => World::<512, 512, 512, 512>::new(self, factory).play(),
        }
    }

    /// Makes images and jobs. They depend on seed, kind, payload, count of images and the offers.
    pub fn factory(&self) -> Factory {
        let job_key = Key::from_seed(self.seed ^ 0x4A4F_4253);
        let boot_key = Key::from_seed(self.seed);
        let old = |image| self.builder(image, OLD, 0).signed(&boot_key);
        let mut bundled = Vec::new();
        let spec = |offer: &Offer| {
            let image = |image| {
                let builder = self.builder(image, offer.version, offer.payload);
                (offer.build)(image, builder).signed(&boot_key)
            };
            let images: Vec<Vec<u8>> = (0..self.image_count).map(image).collect();
            let files = match self.bundle {
                Some(pack) => vec![firmware(pack(&images), &job_key)],
                None => {
                    let file = |(id, image)| OtaFile { id, ..firmware(image, &job_key) };
                    (0..).zip(images.iter().cloned()).map(file).collect()
                }
            };
            if self.bundle.is_some() {
                bundled.push(images);
            }
            let mut spec = OtaSpec { protocols: vec!["MQTT".into()], files };
            if self.planes.contains(&Plane::Http) {
                spec.protocols =
                    self.planes.iter().map(|plane| format!("{plane:?}").to_uppercase()).collect();
                for file in &mut spec.files {
                    let path = object_path(offer.job, file.id);
                    file.url = Some(format!("${{aws:iot:s3-presigned-url:https://bucket.example{path}}}"));
                }
            }
            (offer.tamper)(&mut spec, &job_key);
            (offer.job.to_string(), spec)
        };
        let specs = self.offers.iter().map(spec).collect();
        Factory { old: (0..self.image_count).map(old).collect(), specs, bundled, job_key }
    }

    fn builder(&self, image: u8, version: Version, payload: u64) -> ImageBuilder {
        let seed = self.seed.wrapping_mul(1000) + payload * 10 + u64::from(image);
        ImageBuilder::with_random_payload(version, self.payload, seed)
            .header_size(HEADER_SIZE)
            .erased(self.kind.erased())
    }
}

/// Where the bucket keeps a file of a job.
pub(crate) fn object_path(job: &str, file_id: u8) -> String {
    format!("/{job}/{file_id}.bin")
}

/// Bytes of an image's header with its padding, as on a Cortex-M33 with 256 interrupts.
const HEADER_SIZE: u16 = 0x400;

/// What the factory made for a scenario.
#[derive(Clone, Debug)]
pub struct Factory {
    /// The old image of each number.
    pub(crate) old: Vec<Vec<u8>>,
    /// Job id and job of each offer.
    pub(crate) specs: Vec<(String, OtaSpec)>,
    /// The images of each offer before they were packed, if they were.
    pub(crate) bundled: Vec<Vec<Vec<u8>>>,
    /// The key the device trusts.
    pub(crate) job_key: Key,
}

impl Factory {
    /// Bytes of an image of an offer that was packed into a bundle.
    pub fn image_size(&self, offer: usize, image: usize) -> usize {
        self.bundled[offer][image].len()
    }

    /// The first file of an offer.
    pub fn content(&self, offer: usize) -> &[u8] {
        &self.specs[offer].1.files[0].content
    }

    /// The same with a byte of the first file of an offer changed after it was signed.
    #[must_use]
    pub fn with_flip(mut self, offer: usize, at: usize) -> Self {
        self.specs[offer].1.files[0].content[at] ^= 1;
        self
    }
}

/// One firmware file with a good signature, whatever is in it.
pub fn firmware(content: Vec<u8>, key: &Key) -> OtaFile {
    let signature = key.sign_job_base64(&content);
    OtaFile::firmware(content, &signature)
}
