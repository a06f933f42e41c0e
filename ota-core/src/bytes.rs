//! Pieces of byte strings and whole units, without a way to panic: what is out of range is not there.

/// Copies as many bytes as both have.
// Called, never inlined: here the two are known not to overlap, so that this is a `memcpy` and no `memmove`.
#[inline(never)]
pub(crate) fn copy(to: &mut [u8], from: &[u8]) {
    for (place, byte) in to.iter_mut().zip(from) {
        *place = *byte;
    }
}

/// The first `len` bytes; nothing where there are not so many.
pub(crate) fn front(bytes: &mut [u8], len: usize) -> &mut [u8] {
    match bytes.split_at_mut_checked(len) {
        Some((front, _)) => front,
        None => &mut [],
    }
}

/// Whether every byte is `value`.
pub(crate) fn is_all(bytes: &[u8], value: u8) -> bool {
    // No branch for each byte: most of what is looked at is a whole erased sector.
    bytes.iter().fold(0, |different, byte| different | (byte ^ value)) == 0
}

/// Start of the unit of `size` bytes that holds byte `at`.
pub(crate) const fn unit_start(at: u32, size: u32) -> u32 {
    match at.checked_rem(size) {
        Some(beyond) => at - beyond,
        None => at,
    }
}

/// Units of `unit` bytes that hold `size` bytes.
pub(crate) const fn unit_count(size: u32, unit: u32) -> u32 {
    match size.checked_div(unit) {
        Some(whole) => whole + (unit_start(size, unit) != size) as u32,
        None => 0,
    }
}
