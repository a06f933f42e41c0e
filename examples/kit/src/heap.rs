//! A heap: the arithmetic of RSA certificates (feature `rsa`) is the one thing that needs it.

use core::mem::MaybeUninit;

use embedded_alloc::LlffHeap;
use static_cell::StaticCell;

/// Several times what a signature of 4096 bits takes. Without room the chip is reset.
const SIZE: usize = 64 * 1024;

#[global_allocator]
static HEAP: LlffHeap = LlffHeap::empty();

/// Makes the heap. Once, before anything is allocated.
pub(crate) fn start() {
    static PLACE: StaticCell<[MaybeUninit<u8>; SIZE]> = StaticCell::new();
    let place = PLACE.init([MaybeUninit::uninit(); SIZE]).as_mut_ptr();
    // SAFETY: the place is static, was borrowed for ever by the line above, and nobody else has it.
    unsafe { HEAP.init(place as usize, SIZE) }
}
