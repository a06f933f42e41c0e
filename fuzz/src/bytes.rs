//! Bytes as decisions, and where bytes lie.

/// Decisions taken from the front; zeros behind the end.
pub(crate) struct Bytes<'a>(pub(crate) &'a [u8]);

impl<'a> Bytes<'a> {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn u8(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    pub(crate) fn u16(&mut self) -> u16 {
        u16::from_le_bytes([self.u8(), self.u8()])
    }

    pub(crate) fn u32(&mut self) -> u32 {
        u32::from(self.u16()) | u32::from(self.u16()) << 16
    }

    /// A number below `end`.
    pub(crate) fn below(&mut self, end: u32) -> u32 {
        if end > 256 { u32::from(self.u16()) % end } else { u32::from(self.u8()) % end }
    }

    /// One of these.
    pub(crate) fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u32) as usize].clone()
    }

    /// As many bytes, or all that are left.
    pub(crate) fn take(&mut self, len: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        taken
    }
}

/// `part` is a piece of `whole`, not of other memory; an empty one lies anywhere.
#[track_caller]
pub(crate) fn assert_inside(whole: &[u8], part: &[u8]) {
    let (whole, part) = (whole.as_ptr_range(), part.as_ptr_range());
    assert!(part.is_empty() || whole.start <= part.start && part.end <= whole.end, "outside of the message");
}

/// Text of base64's alphabet out of any bytes, mostly of a length and with an end that may be right.
pub(crate) fn base64_like(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text: String = bytes.iter().map(|byte| char::from(ALPHABET[usize::from(byte % 64)])).collect();
    let padding = bytes.last().map_or(0, |byte| usize::from(byte / 64));
    text.truncate((text.len() / 4 * 4).saturating_sub(padding));
    text + &"==="[..padding]
}
