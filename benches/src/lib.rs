//! Support for the benches: stream messages in buffers of their own, a flash that costs nothing but the copy, and a device
//! that takes the one to the other.

mod device;
mod message;
mod ram_flash;

pub use device::{Device, Memory, Way, device};
pub use message::{Message, image, messages};
pub use ram_flash::RamFlash;

/// Block sizes that are measured: small, the C agents' two defaults, and the largest of the benches.
pub const BLOCK_SIZES: [u32; 4] = [512, 1024, 4096, 16384];

/// Bytes of a slot: that of the example's device.
pub const SLOT_SIZE: u32 = 8 << 20;

/// Bytes of the image each bench moves: what fills a slot of 8 MiB and leaves room for the trailer. Messages and flash
/// together are 16 MiB, far above a host's first two caches, as a device's blocks come from a radio and go to a chip:
/// a smaller image would measure how fast a cache is copied. All of [`BLOCK_SIZES`] divide it, so every block is full.
pub const IMAGE_SIZE: u32 = SLOT_SIZE - (128 << 10);
