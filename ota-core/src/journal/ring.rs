//! The ring of records: where the newest one is, where the next one goes, and how it gets there.

use super::{
    JournalRegion,
    record::{Record, sequence_of},
};
use crate::{
    bytes::{front, is_all},
    geometry::Reprogram,
    script::{Desk, Next, Script, Step},
};

/// A record's place in the ring and its number.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    place: u32,
    sequence: u32,
}

/// Finds the newest record and reads it, or appends one.
pub(super) struct Ring<'r> {
    region: &'r JournalRegion,
    /// What is to be appended.
    record: Option<&'r Record>,
    newest: Option<Entry>,
    /// Where the next record goes and its number, when that is known.
    next: Option<Entry>,
    /// Where that is kept from one script to the next: empty while one is under way, so that after an append that fails or
    /// is dropped the next one looks again.
    kept: &'r mut Option<Entry>,
    last: Last,
}

/// What the last step was.
#[derive(Clone, Copy)]
enum Last {
    Nothing,
    /// This place was read in search of the newest record.
    Searched(u32),
    /// This place was read in search of one behind it that is free.
    Tried(u32),
    /// The sector of the next record was erased.
    Erased,
    /// The newest record was read or the next one written.
    Ended,
}

impl<'r> Ring<'r> {
    // One copy: it is made in two places.
    #[inline(never)]
    pub(super) fn new(
        region: &'r JournalRegion,
        kept: &'r mut Option<Entry>,
        record: Option<&'r Record>,
    ) -> Self {
        Self { region, record, newest: None, next: kept.take(), kept, last: Last::Nothing }
    }

    /// Whether the newest record was found; then the buffer begins with it.
    pub(super) const fn is_found(&self) -> bool {
        self.newest.is_some()
    }

    fn read(&mut self, last: Last, place: u32, desk: &mut Desk<'_>) -> Next {
        self.last = last;
        let offset = self.region.offset(place);
        desk.read(offset..offset.saturating_add(self.region.place_size()))
    }

    /// Looks at the next place in the search for the newest record.
    fn search(&mut self, place: u32, desk: &mut Desk<'_>) -> Next {
        let bytes = front(desk.buffer, self.region.place_size() as usize);
        let sequence = sequence_of(bytes);
        if let Some(sequence) = sequence
            && self.newest.is_none_or(|newest| is_newer(sequence, newest.sequence))
        {
            self.newest = Some(Entry { place, sequence });
        }
        // Also behind a blank one: what a torn write left may have read as used when the place was passed over, and as blank
        // since.
        let following = self.region.after(place);
        if following != 0 {
            return self.read(Last::Searched(following), following, desk);
        }
        match (self.newest, self.region.layout().reprogram) {
            (None, _) => self.settle(0, desk),
            (Some(newest), Reprogram::Forbidden) => self.settle(self.region.next_sector(newest.place), desk),
            (Some(newest), Reprogram::Allowed) => self.try_place(self.region.after(newest.place), desk),
        }
    }

    /// A place that is neither blank nor a record was torn and is left alone; the first of a sector is always erased.
    fn try_place(&mut self, place: u32, desk: &mut Desk<'_>) -> Next {
        if self.region.starts_sector(place) {
            return self.settle(place, desk);
        }
        self.read(Last::Tried(place), place, desk)
    }

    /// The next record goes to `place`.
    fn settle(&mut self, place: u32, desk: &mut Desk<'_>) -> Next {
        let sequence = self.newest.map_or(1, |newest| newest.sequence.wrapping_add(1));
        self.next = Some(Entry { place, sequence });
        if self.record.is_none() {
            *self.kept = self.next;
        }
        match self.newest {
            Some(newest) if self.record.is_none() => self.read(Last::Ended, newest.place, desk),
            Some(_) | None => self.append(desk),
        }
    }

    /// Erases for the next record or writes it, when one is to be appended.
    fn append(&mut self, desk: &mut Desk<'_>) -> Next {
        let (Some(record), Some(next)) = (self.record, self.next) else { return Ok(Step::Done) };
        let offset = self.region.offset(next.place);
        if self.region.erases_before(next.place) && !matches!(self.last, Last::Erased) {
            // Also when it reads blank: an erase that was cut short can look like that.
            self.last = Last::Erased;
            return desk.erase(offset..offset.saturating_add(self.region.layout().sector_size));
        }
        let bytes = front(desk.buffer, self.region.place_size() as usize);
        bytes.fill(self.region.layout().erased);
        record.write(next.sequence, bytes);
        self.last = Last::Ended;
        let len = bytes.len();
        desk.program(offset, 0..len)
    }
}

impl Script for Ring<'_> {
    fn next(&mut self, desk: &mut Desk<'_>) -> Next {
        match self.last {
            Last::Nothing if self.next.is_none() => self.read(Last::Searched(0), 0, desk),
            Last::Nothing | Last::Erased => self.append(desk),
            Last::Searched(place) => self.search(place, desk),
            Last::Tried(place) => {
                if is_all(front(desk.buffer, self.region.place_size() as usize), self.region.layout().erased)
                {
                    self.settle(place, desk)
                } else {
                    self.try_place(self.region.after(place), desk)
                }
            }
            Last::Ended => {
                if let (Some(_), Some(Entry { place, sequence })) = (self.record, self.next) {
                    let (place, sequence) = (self.region.after(place), sequence.wrapping_add(1));
                    *self.kept = Some(Entry { place, sequence });
                }
                Ok(Step::Done)
            }
        }
    }
}

/// Is sequence number `a` newer than `b`? Serial number arithmetic (RFC 1982): right across the wrap, which no flash
/// lives to see, but a record of unknown origin may be near it.
const fn is_newer(a: u32, b: u32) -> bool {
    a != b && a.wrapping_sub(b) < 1 << 31
}

#[cfg(test)]
mod tests {
    use super::is_newer;

    #[test]
    fn sequence_numbers_wrap() {
        for (a, b, newer) in
            [(2, 1, true), (1, 2, false), (1, 1, false), (0, u32::MAX, true), (u32::MAX, 0, false)]
        {
            assert_eq!(is_newer(a, b), newer, "{a} {b}");
        }
    }
}
