//! A model of MCUboot: boots a device whose flashes are [`Device`](crate::flash::Device)s, the way MCUboot does.
//!
//! Written from MCUboot's documents and source as they behave, sharing no code with the library under test, so that an
//! update can be judged by somebody else's reading of the trailer. It works without an allocator.
//!
//! What is exact: image and TLV checks, the decision table, trailer bytes before and after a swap in every mode, what is
//! erased when an image is refused, dependencies between images, how an update of several images goes on that was cut between
//! two swaps, downgrade and rollback rules, the status partition's records and the import that erases the slot's trailer.
//! Every swap can be cut at any flash operation and is resumed at the next [`Bootloader::boot`] from what lies in flash; the
//! model keeps no state of its own.
//!
//! What is simpler than MCUboot: the sectors of a scratch or status swap are moved one erase unit common to both slots at a
//! time, where bootutil joins small ones to fill the scratch area; swap-scratch puts a revert that is about to start into the
//! secondary's trailer, as swap-move does; with swap-offset a revert works from the last sector down; no encryption,
//! compression, direct-XIP or RAM loading.

mod area;
mod boot;
mod layout;
mod status;
mod swap;
mod trailer;
mod validate;

use core::fmt;

pub use area::Area;
pub use boot::{Action, Boot, ImageBoot, MAX_IMAGES};
pub use layout::LayoutError;
pub use trailer::{SwapType, trailer_magic};
pub use validate::{ImageRecord, PublicKey, Validation};

/// Which generation of the Cypress status partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatusVersion {
    /// v1.7.2-cypress: area magic 0xDEADBEAF, the primary slot's trailer stays blank after a swap.
    V1_7,
    /// v1.8.1-cypress and later: area magic 0xDEADBEEF, a full trailer is written to the primary slot after a swap.
    V1_8,
}

/// How an image gets from the secondary to the primary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Copied over the primary; there is no way back. Not the "fast" variant: trailer bytes are copied too.
    Overwrite,
    /// Exchanged through a scratch area.
    SwapScratch,
    /// Exchanged by first moving the primary up by one sector.
    SwapMove,
    /// Exchanged with the new image lying one sector up in the secondary.
    SwapOffset,
    /// Exchanged through a scratch area, with all state in a status partition (Cypress).
    SwapStatus(StatusVersion),
}

/// The two slots of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImageSlots {
    /// Runs from here.
    pub primary: Area,
    /// Updates arrive here.
    pub secondary: Area,
}

/// How the bootloader was built.
#[derive(Clone, Copy, Debug)]
pub struct Config<'a> {
    /// How images are exchanged.
    pub mode: Mode,
    /// Slots of image 0, 1, ...
    pub images: &'a [ImageSlots],
    /// Scratch area of the modes that need one.
    pub scratch: Option<Area>,
    /// Status partition of [`Mode::SwapStatus`].
    pub status: Option<Area>,
    /// `BOOT_MAX_ALIGN`: 8, 16 or 32.
    pub max_align: u32,
    /// Write alignment W of the trailer's fields.
    pub write_size: u32,
    /// `BOOT_MAX_IMG_SECTORS`.
    pub max_sectors: u32,
    /// What makes an image acceptable.
    pub validation: Validation<'a>,
    /// `MCUBOOT_VALIDATE_PRIMARY_SLOT`: check the primary at every boot; otherwise its header magic suffices.
    pub validate_primary: bool,
    /// `MCUBOOT_DOWNGRADE_PREVENTION`: a lower version in the secondary is erased.
    pub downgrade_prevention: bool,
    /// `MCUBOOT_VERSION_CMP_USE_BUILD_NUMBER`.
    pub compare_build: bool,
    /// `MCUBOOT_HW_ROLLBACK_PROT`: the security counter must not be below the stored one.
    pub rollback_protection: bool,
    /// Images the bootloader confirms itself before it starts them, as the policy of a PSoC 64 asks for with `set_img_ok`. What
    /// the closed bootloader does is not known: the model writes the byte that the application of an image would write,
    /// to the trailer that a swap left in the primary slot ([`StatusVersion::V1_7`] leaves none, so there nothing is confirmed).
    pub set_img_ok: &'a [usize],
}

impl<'a> Config<'a> {
    /// MCUboot's defaults: `max_align` 8, `write_size` 8, 128 sectors, hash only, primary validated, no rollback rules.
    pub const fn new(mode: Mode, images: &'a [ImageSlots]) -> Self {
        Self {
            mode,
            images,
            scratch: None,
            status: None,
            max_align: 8,
            write_size: 8,
            max_sectors: 128,
            validation: Validation::HashOnly,
            validate_primary: true,
            downgrade_prevention: false,
            compare_build: false,
            rollback_protection: false,
            set_img_ok: &[],
        }
    }
}

/// A bootloader whose layout was checked; made by [`Bootloader::new`].
#[derive(Clone, Copy, Debug)]
pub struct Bootloader<'a> {
    config: Config<'a>,
}

/// Why an image was not installed or not started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The slot holds no image, or one that is marked non-bootable.
    NoImage,
    /// Header magic or sizes are wrong.
    Header,
    /// Encrypted or compressed, which this bootloader cannot boot.
    Flags,
    /// The TLV areas are malformed.
    Tlv,
    /// The SHA-256 is missing or wrong.
    Hash,
    /// No signature by a known key, or a wrong one.
    Signature,
    /// The image ends beyond what the mode leaves of the slot.
    TooLarge,
    /// With swap-offset: the image was written to sector 0 of the secondary.
    WrongOffset,
    /// Version, or security counter, below that of the primary.
    Downgrade,
    /// Security counter missing or below the stored one.
    SecurityCounter,
    /// An image needs a version of another image that would not be there.
    Dependency,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoImage => "no bootable image in the slot",
            Self::Header => "image header is wrong",
            Self::Flags => "image is encrypted or compressed",
            Self::Tlv => "image TLVs are malformed",
            Self::Hash => "image hash is missing or wrong",
            Self::Signature => "image signature is missing or wrong",
            Self::TooLarge => "image reaches into the trailer",
            Self::WrongOffset => "image lies in sector 0 of the secondary instead of sector 1",
            Self::Downgrade => "image is older than the one in the primary",
            Self::SecurityCounter => "security counter is missing or too low",
            Self::Dependency => "another image would be too old for this one",
        })
    }
}
