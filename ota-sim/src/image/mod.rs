//! MCUboot images, built and signed as imgtool 2.5.0 does, bundles of several, and the signature of a job
//! document.
//!
//! ```
//! use ota_sim::image::{ImageBuilder, Key, Version};
//!
//! let key = Key::from_seed(1);
//! let image = ImageBuilder::new(Version::new(1, 2, 3, 0), vec![0x5A; 1000]).header_size(0x200).signed(&key);
//! assert_eq!(image[..4], [0x3d, 0xb8, 0xf3, 0x96]);
//! let job_signature = key.sign_job(&image); // DER, for `sig-sha256-ecdsa` after base64
//! assert_eq!(job_signature[0], 0x30);
//! ```

mod builder;
mod bundle;
mod certificate;
mod key;
mod pad;

pub use builder::{Corruption, ImageBuilder, corrupt};
pub use bundle::BundleBuilder;
pub use key::{Key, KeyError};
pub use pad::{Pad, pad};

pub use crate::Version;
