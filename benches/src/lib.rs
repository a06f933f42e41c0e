//! Support for the benches: stream messages in buffers of their own, and a flash that costs nothing but the copy.

mod message;
mod ram_flash;

pub use message::{Message, image, messages};
pub use ram_flash::RamFlash;

/// Block sizes that are measured: small, the C agents' two defaults, and the largest of the benches.
pub const BLOCK_SIZES: [u32; 4] = [512, 1024, 4096, 16384];

/// Bytes of the image each bench moves. All of [`BLOCK_SIZES`] divide it, so every block is full.
pub const IMAGE_SIZE: u32 = 1 << 20;
