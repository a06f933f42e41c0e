//! Lists of words, each one text with blanks between: a table of references would take eight bytes more for every word.

/// The place of `word` in `words`.
#[inline(never)]
pub(crate) fn position(words: &str, word: &[u8]) -> Option<usize> {
    words.split_ascii_whitespace().position(|known| known.as_bytes() == word)
}

/// The word at a place of `words`; empty where there is none.
#[inline(never)]
pub(crate) fn word(words: &str, at: usize) -> &str {
    words.split_ascii_whitespace().nth(at).unwrap_or_default()
}
