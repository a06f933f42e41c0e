//! What the integrator fixes: names, layouts, limits and times.

use super::MAX_IMAGES;
use super::fetch::WINDOW_BLOCKS;
use super::sectors::sector_memory;
use crate::bitmap;
use crate::bytes::unit_count;
use crate::geometry::ImageLayout;
use crate::version::Version;
use crate::wire::Format;
use crate::wire::topic::is_name;

pub use crate::wire::request::MAX_REQUEST_SIZE;

/// Smallest and largest block. The service allows 256 to 131,072; a block of the latter and its envelope exceed the
/// broker's largest message (128 KB), so half of it is the limit here.
pub const BLOCK_SIZES: core::ops::RangeInclusive<u32> = 256..=65_536;

/// Headers, list and padding of a bundle: tar fills archives up to a multiple of 10 KiB.
pub(super) const BUNDLE_MARGIN: u32 = 16 * 1024;

/// Most bytes of names and values of [`Config::details`] together, so that every status update fits
/// [`MAX_PAYLOAD_SIZE`](super::MAX_PAYLOAD_SIZE).
pub const MAX_DETAILS_SIZE: usize = 768;

/// A way blocks come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Plane {
    /// AWS IoT MQTT-based file delivery.
    Mqtt,
    /// Ranges of an object behind a presigned URL.
    Http,
}

/// Which file of a job goes to which image. The first one that matches counts; the document's path never does.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Destination {
    /// Matches `fileType` of the document; `None` matches any, also none.
    pub file_type: Option<u32>,
    /// Matches `fileid` of the document; `None` matches any.
    pub file_id: Option<u8>,
    /// The image: index into [`Config::images`].
    pub image: u8,
    /// Addresses the image's reset vector may have (the first, and one past the last; the Thumb bit does not count), where
    /// the slot's place in the address map is known. An image linked for another slot is rejected.
    pub reset_vector: Option<(u32, u32)>,
}

/// Which image of a bundle goes where (feature `bundle`). The first one that matches counts; a member's name never does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Component<'a> {
    /// `fileType` in the bundle's list.
    pub file_type: &'a str,
    /// The image: index into [`Config::images`].
    pub image: u8,
}

impl Component<'static> {
    /// As the Cypress library has it: `NSPE` is image 0 (on a PSoC 64 the application on the CM4), `SPE` image 1 (CM0+).
    pub const CYPRESS: &'static [Component<'static>] =
        &[Component { file_type: "NSPE", image: 0 }, Component { file_type: "SPE", image: 1 }];
}

/// Deadlines and intervals, milliseconds. More than 24 days (2^31 ms) count as 24 days.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Timing {
    /// How long an answer of Jobs is waited for.
    pub request_ms: u32,
    /// How long blocks under way are waited for after the last sign of life.
    pub block_ms: u32,
    /// First pause after a failure; doubled with each further one, with up to a quarter of jitter added.
    pub retry_ms: u32,
    /// Longest pause.
    pub retry_max_ms: u32,
    /// How long the application may take for its self test, counted from boot; of an update that neither journal nor
    /// bootloader know of, from the answer of Jobs that tells.
    pub self_test_ms: u32,
    /// How often a job is asked for without a notification.
    pub poll_ms: u32,
}

impl Timing {
    /// Values for AWS IoT Core over the Internet.
    pub const DEFAULT: Timing = Timing {
        request_ms: 5_000,
        block_ms: 2_500,
        retry_ms: 1_000,
        retry_max_ms: 64_000,
        self_test_ms: 180_000,
        poll_ms: 6 * 3_600_000,
    };
}

impl Default for Timing {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// Everything the agent is told once.
#[derive(Clone, Copy, Debug)]
pub struct Config<'a> {
    /// The thing this device is.
    pub thing_name: &'a str,
    /// The version that runs; `None` takes it from the header in the primary slot of image 0.
    pub running_version: Option<Version>,
    /// The images of the device and their slots.
    pub images: &'a [ImageLayout],
    /// Which file goes where.
    pub destinations: &'a [Destination],
    /// Which image of a bundle goes where. One whose image this device does not have is refused.
    pub components: &'a [Component<'a>],
    /// The data planes this device has, the preferred one first. Which of them a job offers, its document says; when one
    /// gives up the next one goes on with what flash holds.
    pub planes: &'a [Plane],
    /// Most bytes of one range over HTTP; 0: the whole missing run.
    pub range_size: u32,
    /// Memory allows one TLS session only: the link is closed while a range is read over HTTP, and opened again after so
    /// many milliseconds at the latest. That is how long a cancel may go unheard. `None`: both at once.
    pub one_session_ms: Option<u32>,
    /// Bytes of a block, a multiple of every secondary slot's write size. The client's receive buffer must hold a block,
    /// its envelope and its topic.
    pub block_size: u32,
    /// Most blocks under way at once: what the receive path can hold while flash is busy. No more than two requests of
    /// [`MAX_REQUEST_SIZE`] are.
    pub window_max: u16,
    /// Blocks the broker delivers in a second without discarding (AWS: 100); 0: do not pace.
    pub blocks_per_second: u16,
    /// Longest sector erase, milliseconds, that the receive path absorbs with a full window under way. Slower ones are
    /// done with nothing under way.
    pub absorb_ms: u32,
    /// How stream requests and blocks are encoded.
    pub format: Format,
    /// Send `expectedVersion` with status updates that wait for their answer.
    pub expected_version: bool,
    /// Pairs of the application's own added to every status update: 6 at most, with names of 1 to 128 characters of
    /// `[a-zA-Z0-9:_-]`.
    pub details: &'a [(&'a str, &'a str)],
    /// A journal record is written after this many blocks: at most so many are fetched again after a power cut, besides
    /// those of open sectors.
    pub record_blocks: u16,
    /// A progress update is published after this many blocks, of a large file after a sixteenth of it; 0: never.
    pub progress_blocks: u16,
    /// Requests in a row without a block before the last plane is given up and the job fails. While another plane is left,
    /// 4 at most.
    pub useless_max: u8,
    /// Deadlines.
    pub timing: Timing,
    /// Anything that differs from device to device and boot to boot: spreads retries and marks client tokens.
    pub seed: u32,
}

impl<'a> Config<'a> {
    /// One image, every file of file id 0 goes there, 4 KiB blocks.
    pub const fn new(thing_name: &'a str, images: &'a [ImageLayout]) -> Self {
        Config {
            thing_name,
            running_version: None,
            images,
            destinations: &[Destination { file_type: None, file_id: Some(0), image: 0, reset_vector: None }],
            components: Component::CYPRESS,
            planes: &[Plane::Mqtt],
            range_size: 0,
            one_session_ms: None,
            block_size: 4096,
            window_max: 32,
            blocks_per_second: 100,
            absorb_ms: 100,
            format: Format::Cbor,
            expected_version: true,
            details: &[],
            record_blocks: 16,
            progress_blocks: 64,
            useless_max: 16,
            timing: Timing::DEFAULT,
            seed: 0,
        }
    }

    pub(crate) fn destination(&self, file_id: u8, file_type: Option<u32>) -> Option<u8> {
        self.matching(file_id, file_type).map(|d| d.image)
    }

    #[cfg(feature = "bundle")]
    pub(crate) fn component(&self, file_type: crate::wire::Text<'_>) -> Option<u8> {
        self.components.iter().find(|c| file_type.is(c.file_type)).map(|c| c.image)
    }

    fn matching(&self, file_id: u8, file_type: Option<u32>) -> Option<&Destination> {
        let fits = |d: &&Destination| {
            d.file_id.is_none_or(|id| id == file_id) && d.file_type.is_none_or(|kind| file_type == Some(kind))
        };
        self.destinations.iter().find(fits)
    }

    pub(crate) fn reset_vector(&self, image: u8) -> Option<(u32, u32)> {
        self.destinations.iter().find(|d| d.image == image).and_then(|d| d.reset_vector)
    }

    /// Blocks one request may ask for.
    #[inline(never)]
    pub(crate) fn request_max(&self) -> u16 {
        MAX_REQUEST_SIZE.checked_div(self.block_size).unwrap_or(1).min(WINDOW_BLOCKS) as u16
    }

    /// Blocks that may be under way: those of two requests, so that one travels while the other is answered.
    pub(crate) fn window_max(&self) -> u16 {
        self.window_max.clamp(1, WINDOW_BLOCKS as u16).min(2 * self.request_max())
    }

    /// Blocks under way before any of them has shown what the link can take.
    pub(crate) fn first_window(&self) -> u16 {
        self.window_max().min(4)
    }

    /// Checks the configuration and the memory given with it.
    pub(crate) fn check(&self, memory: &Memory<'_>) -> Result<(), ConfigError> {
        if !is_name(self.thing_name) {
            return Err(ConfigError::ThingName);
        }
        if self.images.is_empty() || self.images.len() > MAX_IMAGES {
            return Err(ConfigError::Images);
        }
        if !BLOCK_SIZES.contains(&self.block_size) {
            return Err(ConfigError::BlockSize);
        }
        let details: usize = self.details.iter().map(|(name, value)| name.len() + value.len()).sum();
        let are_named = self.details.iter().all(|(name, _)| is_name(name));
        if self.details.len() > 6 || details > MAX_DETAILS_SIZE || !are_named {
            return Err(ConfigError::Details);
        }
        if self.destinations.iter().any(|d| usize::from(d.image) >= self.images.len()) {
            return Err(ConfigError::Destination);
        }
        for image in self.images {
            let secondary = image.secondary();
            if !self.block_size.is_multiple_of(secondary.write_size()) {
                return Err(ConfigError::BlockSize);
            }
            if memory.blocks.len() < bitmap::size(unit_count(image.max_image_size(), self.block_size)) {
                return Err(ConfigError::BlockMemory);
            }
            if memory.sectors.len() < sector_memory(secondary.sector_count()) {
                return Err(ConfigError::SectorMemory);
            }
        }
        Ok(())
    }
}

/// The agent's memory, given by the caller.
pub struct Memory<'a> {
    /// Job id, topic of the stream and signatures: [`Memory::STRINGS`] bytes serve any one-file job.
    pub strings: &'a mut [u8],
    /// The block bitmap: [`Memory::block_bytes`] bytes.
    pub blocks: &'a mut [u8],
    /// Which sectors are erased: [`Memory::sector_bytes`] bytes.
    pub sectors: &'a mut [u8],
}

impl Memory<'_> {
    /// A job id of 128 bytes, the topic of its blocks with a thing's and a stream's name of as many, and one signature of up to
    /// 512 bytes with its base64 text.
    pub const STRINGS: usize = 128 + 288 + 700;

    /// The same with a presigned URL of up to 2 KiB.
    pub const STRINGS_WITH_URL: usize = Self::STRINGS + 2048;

    /// Bytes of block bitmap for the largest file of `image`.
    pub const fn block_bytes(image: &ImageLayout, block_size: u32) -> usize {
        bitmap::size(unit_count(image.max_image_size(), block_size))
    }

    /// Bytes of sector memory for `image`.
    pub const fn sector_bytes(image: &ImageLayout) -> usize {
        sector_memory(image.secondary().sector_count())
    }

    /// Bytes of block bitmap for a bundle of all `images`, and 16 KiB beside them.
    pub const fn bundle_block_bytes(images: &[ImageLayout], block_size: u32) -> usize {
        let (mut size, mut at) = (BUNDLE_MARGIN, 0u32);
        while (at as usize) < images.len() {
            if let Some((image, _)) = images.split_at(at as usize).1.split_first() {
                size = size.saturating_add(image.max_image_size());
            }
            at += 1;
        }
        bitmap::size(size.div_ceil(block_size))
    }

    /// Bytes of sector memory for a bundle: the sectors of all `images`.
    pub const fn bundle_sector_bytes(images: &[ImageLayout]) -> usize {
        let (mut count, mut at) = (0u32, 0u32);
        while (at as usize) < images.len() {
            if let Some((image, _)) = images.split_at(at as usize).1.split_first() {
                count = count.saturating_add(image.secondary().sector_count());
            }
            at += 1;
        }
        sector_memory(count)
    }
}

/// What is wrong with a [`Config`] or its memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ConfigError {
    /// The thing name is empty, longer than 128 bytes or has characters AWS IoT does not allow.
    ThingName,
    /// No image, or more than [`MAX_IMAGES`].
    Images,
    /// The block size is outside [`BLOCK_SIZES`] or no multiple of a slot's write size.
    BlockSize,
    /// More than 6 pairs of the application's own, more than [`MAX_DETAILS_SIZE`] bytes of them, or a name that is empty,
    /// longer than 128 bytes or has characters AWS IoT does not allow.
    Details,
    /// A destination names an image that is not there.
    Destination,
    /// [`Memory::blocks`] is too small for the largest image: see [`Memory::block_bytes`].
    BlockMemory,
    /// [`Memory::sectors`] is too small: see [`Memory::sector_bytes`].
    SectorMemory,
}

impl core::fmt::Display for ConfigError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            ConfigError::ThingName => "the thing name must be 1 to 128 characters of a-z A-Z 0-9 : _ -",
            ConfigError::Images => "give at least one image layout and at most MAX_IMAGES",
            ConfigError::BlockSize => {
                "the block size must be 256 to 65536 and a multiple of every secondary slot's write size"
            }
            ConfigError::Details => "give at most 6 status detail pairs of 768 bytes in all, named in characters of a-z A-Z 0-9 : _ -",
            ConfigError::Destination => "a destination names an image that has no layout",
            ConfigError::BlockMemory => "the block bitmap is too small: use Memory::block_bytes",
            ConfigError::SectorMemory => "the sector memory is too small: use Memory::sector_bytes",
        })
    }
}

impl core::error::Error for ConfigError {}
