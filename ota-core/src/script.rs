//! Work on flash as a script: plain code looks at what was read and says the next step; one small loop per driver does it.
//!
//! What to do is decided by a [`Script`], which never waits and knows no driver. [`Bench::run`] is all that is made anew for each
//! driver type, and the only place that waits: it reads, writes or erases, once a turn. What a script programs is read back,
//! and what it wipes is looked at, before it is asked again.
//!
//! Dropping it half-way is a power cut in that place: scripts keep in RAM only what flash shows as well.

use core::ops::Range;

use embedded_storage_async::nor_flash::{NorFlash, NorFlashError, NorFlashErrorKind};

use crate::{
    bytes::{copy, front, is_all, unit_start},
    slot::{FlashError, MAX_READ_SIZE},
};

/// One thing to do with flash. Offsets are those of the device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Read to the front of the buffer, at most as much as it holds.
    Read(Range<u32>),
    /// Program this part of the buffer at this offset and read it back.
    Program(u32, Range<usize>),
    /// Erase.
    Erase(Range<u32>),
    /// Erase, and see that all of it reads as erased.
    Wipe(Range<u32>),
    /// Nothing is left to do.
    Done,
    /// It cannot be done.
    Fail(FlashError),
}

/// Decides one step at a time.
pub(crate) trait Script {
    /// The next step. After [`Step::Read`] `buffer` begins with what was read; a script may prepare in it what to program.
    fn next(&mut self, buffer: &mut [u8]) -> Step;

    /// The last step failed. `Ok`: the script knows what to do about it, and is asked for its next step.
    fn failed(&mut self, error: FlashError) -> Result<(), FlashError> {
        Err(error)
    }
}

/// A script with one step.
impl Script for Step {
    fn next(&mut self, _: &mut [u8]) -> Step {
        core::mem::replace(self, Step::Done)
    }
}

/// A flash device with a buffer: where scripts work.
#[derive(Debug)]
pub(crate) struct Bench<F, const SIZE: usize> {
    pub(crate) flash: F,
    /// What is read, and what is programmed.
    pub(crate) buffer: [u8; SIZE],
    /// What an erased byte reads as.
    erased: u8,
    /// Writes and erases begun so far.
    pub(crate) changes: u32,
}

impl<F: NorFlash, const SIZE: usize> Bench<F, SIZE> {
    pub(crate) fn new(flash: F, erased: u8) -> Self {
        Self { flash, buffer: [0; SIZE], erased, changes: 0 }
    }

    /// Does what `script` says, until it is done or fails.
    pub(crate) async fn run(&mut self, script: &mut dyn Script) -> Result<(), FlashError> {
        let Self { flash, buffer, erased, changes } = self;
        let held = [0; MAX_READ_SIZE];
        let mut work =
            Work { buffer, erased: *erased, changes, script, look: 0..0, piece: 0, wanted: None, held };
        let mut done = Ok(());
        loop {
            done = match work.next(done)? {
                Operation::Read(at, bytes) => read(flash, at, bytes).await,
                Operation::Program(at, bytes) => flash.write(at, bytes).await.map_err(fault),
                Operation::Erase(range) => flash.erase(range.start, range.end).await.map_err(fault),
                Operation::Done => return Ok(()),
            };
        }
    }
}

/// What the driver is to do now.
enum Operation<'b> {
    Read(u32, &'b mut [u8]),
    Program(u32, &'b [u8]),
    Erase(Range<u32>),
    Done,
}

/// A script under way, and the look at flash that some of its steps end with.
struct Work<'w> {
    buffer: &'w mut [u8],
    erased: u8,
    changes: &'w mut u32,
    script: &'w mut dyn Script,
    /// What of flash is still to be looked at.
    look: Range<u32>,
    /// Bytes of it that are being read.
    piece: usize,
    /// Where in the buffer the bytes begin that they should be. `None`: they should be erased.
    wanted: Option<usize>,
    /// What flash holds of a part that was programmed: the buffer is kept to compare it with.
    held: [u8; MAX_READ_SIZE],
}

impl Work<'_> {
    /// The next operation, after the last one ended with `done`.
    fn next(&mut self, done: Result<(), FlashError>) -> Result<Operation<'_>, FlashError> {
        if let Err(error) = done.and_then(|()| self.compare_piece()) {
            (self.look, self.piece) = (0..0, 0);
            self.script.failed(error)?;
        }
        if !self.look.is_empty() {
            let place = match self.wanted {
                Some(_) => &mut self.held[..],
                None => &mut *self.buffer,
            };
            let piece = buffer(place, self.look.end - self.look.start);
            self.piece = piece.len();
            return Ok(Operation::Read(self.look.start, piece));
        }
        Ok(match self.script.next(self.buffer) {
            Step::Read(range) => {
                Operation::Read(range.start, buffer(self.buffer, range.end.saturating_sub(range.start)))
            }
            Step::Program(at, part) => {
                let bytes = self.buffer.get(part.clone()).ok_or(FlashError::OutOfBounds)?;
                *self.changes = self.changes.wrapping_add(1);
                self.look = at..at.saturating_add(bytes.len() as u32);
                self.wanted = Some(part.start);
                Operation::Program(at, bytes)
            }
            Step::Erase(range) => {
                *self.changes = self.changes.wrapping_add(1);
                Operation::Erase(range)
            }
            Step::Wipe(range) => {
                *self.changes = self.changes.wrapping_add(1);
                self.look = range.clone();
                self.wanted = None;
                Operation::Erase(range)
            }
            Step::Done => Operation::Done,
            Step::Fail(error) => return Err(error),
        })
    }

    /// Compares the piece of the look that was read, if one was.
    fn compare_piece(&mut self) -> Result<(), FlashError> {
        let piece = core::mem::take(&mut self.piece);
        self.look.start = self.look.start.saturating_add(piece as u32);
        let is_right = match &mut self.wanted {
            Some(begin) => {
                let wanted = self.buffer.get(*begin..).and_then(|bytes| bytes.get(..piece));
                *begin = begin.saturating_add(piece);
                wanted == self.held.get(..piece)
            }
            None => is_all(front(self.buffer, piece), self.erased),
        };
        if is_right { Ok(()) } else { Err(FlashError::ReadBack) }
    }
}

/// What a driver says of itself.
pub(crate) struct DriverSizes {
    pub(crate) capacity: u32,
    read: usize,
    write: usize,
    erase: usize,
}

impl DriverSizes {
    pub(crate) fn of<F: NorFlash>(flash: &F) -> Self {
        let capacity = u32::try_from(flash.capacity()).unwrap_or(u32::MAX);
        Self { capacity, read: F::READ_SIZE, write: F::WRITE_SIZE, erase: F::ERASE_SIZE }
    }

    /// Whether the driver can write units and erase sectors of these sizes, and read in units we have room for.
    pub(crate) fn divide(&self, write_size: u32, sector_size: u32) -> bool {
        let divides = |driver: usize, ours: u32| driver != 0 && (ours as usize).is_multiple_of(driver);
        divides(self.write, write_size)
            && divides(self.erase, sector_size)
            && self.read != 0
            && self.read <= MAX_READ_SIZE
    }
}

/// The first `len` bytes of a buffer, or all of it.
pub(crate) fn buffer(bytes: &mut [u8], len: u32) -> &mut [u8] {
    let len = bytes.len().min(len as usize);
    front(bytes, len)
}

/// Reads at any offset, also where the driver reads whole units only.
pub(crate) async fn read<F: NorFlash>(flash: &mut F, from: u32, bytes: &mut [u8]) -> Result<(), FlashError> {
    let mut aside = [0; MAX_READ_SIZE];
    let (mut from, mut rest) = (from, bytes);
    while !rest.is_empty() {
        let (lead, whole) = whole_units(F::READ_SIZE, from, rest.len());
        let place = if whole == 0 { front(&mut aside, F::READ_SIZE) } else { front(rest, whole) };
        flash.read(from - lead as u32, place).await.map_err(fault)?;
        // Computed again: for most drivers there is nothing to compute, and nothing to keep while they read.
        let (lead, whole) = whole_units(F::READ_SIZE, from, rest.len());
        let mut done = whole;
        if F::READ_SIZE > 1 && whole == 0 {
            let wanted = aside.get(lead..F::READ_SIZE).unwrap_or_default();
            copy(rest, wanted);
            done = wanted.len().min(rest.len());
        }
        from = from.wrapping_add(done as u32);
        rest = rest.get_mut(done..).unwrap_or_default();
    }
    Ok(())
}

/// How many bytes of `len` at `from` are whole units that can be read at once; with none, how far inside its unit `from` is.
fn whole_units(unit_size: usize, from: u32, len: usize) -> (usize, usize) {
    if unit_size == 1 {
        return (0, len);
    }
    match from as usize - unit_start(from, unit_size as u32) as usize {
        0 => (0, unit_start(len as u32, unit_size as u32) as usize),
        lead => (lead, 0),
    }
}

/// A driver's fault by its kind.
pub(crate) fn fault(error: impl NorFlashError) -> FlashError {
    match error.kind() {
        NorFlashErrorKind::NotAligned => FlashError::NotAligned,
        NorFlashErrorKind::OutOfBounds => FlashError::OutOfBounds,
        // The trait's enum may grow.
        NorFlashErrorKind::Other | _ => FlashError::Driver,
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::{vec, vec::Vec};

    use super::*;

    /// Says its steps and notes what it was asked with.
    struct Recital {
        steps: Vec<Step>,
        seen: Vec<u8>,
        failures: usize,
        forgives: bool,
    }

    impl Script for Recital {
        fn next(&mut self, buffer: &mut [u8]) -> Step {
            self.seen.push(buffer[0]);
            if self.steps.is_empty() { Step::Done } else { self.steps.remove(0) }
        }

        fn failed(&mut self, error: FlashError) -> Result<(), FlashError> {
            self.failures += 1;
            if self.forgives { Ok(()) } else { Err(error) }
        }
    }

    fn recital(steps: Vec<Step>) -> Recital {
        Recital { steps, seen: vec![], failures: 0, forgives: false }
    }

    /// Lets a script work on bytes in RAM, which a dead flash does not change.
    fn work(
        flash: &mut [u8],
        buffer: &mut [u8],
        script: &mut dyn Script,
        is_dead: bool,
    ) -> (Result<(), FlashError>, u32) {
        let (mut changes, held) = (0, [0; MAX_READ_SIZE]);
        let mut work = Work {
            buffer,
            erased: 0xFF,
            changes: &mut changes,
            script,
            look: 0..0,
            piece: 0,
            wanted: None,
            held,
        };
        let outcome = loop {
            match work.next(Ok(())) {
                Err(error) => break Err(error),
                Ok(Operation::Done) => break Ok(()),
                Ok(Operation::Read(at, bytes)) => bytes.copy_from_slice(&flash[at as usize..][..bytes.len()]),
                Ok(Operation::Program(..) | Operation::Erase(_)) if is_dead => {}
                Ok(Operation::Program(at, bytes)) => {
                    flash[at as usize..][..bytes.len()].copy_from_slice(bytes);
                }
                Ok(Operation::Erase(range)) => flash[range.start as usize..range.end as usize].fill(0xFF),
            }
        };
        (outcome, changes)
    }

    #[test]
    fn a_script_reads_programs_and_erases() {
        let mut flash: Vec<u8> = (0..=255).collect();
        let mut script = recital(vec![
            Step::Read(7..200),
            Step::Program(100, 1..90),
            Step::Erase(0..16),
            Step::Wipe(200..256),
        ]);
        let (outcome, changes) = work(&mut flash, &mut [0; 96], &mut script, false);
        assert_eq!((outcome, changes), (Ok(()), 3));
        // The buffer takes 96 bytes of the read, and is left alone by the look at what was programmed.
        assert_eq!(flash[100..189], (8..97).collect::<Vec<u8>>());
        assert!(flash[..16].iter().chain(&flash[200..]).all(|&byte| byte == 0xFF));
        assert_eq!(script.seen[..4], [0, 7, 7, 7]);
    }

    #[test]
    fn what_flash_does_not_hold_is_noticed() {
        for (step, noticed) in [
            (Step::Program(0, 0..80), true),
            (Step::Wipe(0..128), true),
            (Step::Erase(0..128), false),
            (Step::Read(0..8), false),
        ] {
            let expected = if noticed { Err(FlashError::ReadBack) } else { Ok(()) };
            let mut script = recital(vec![step.clone()]);
            let (outcome, _) = work(&mut [0x55; 128], &mut [1; 96], &mut script, true);
            assert_eq!(outcome, expected, "{step:?}");
            // A script that knows what to do is asked again, and nothing of the failed look is left.
            let mut script = Recital { forgives: true, ..recital(vec![step.clone(), Step::Read(5..6)]) };
            let (outcome, _) = work(&mut [0x55; 128], &mut [1; 96], &mut script, true);
            assert_eq!((outcome, script.seen.last()), (Ok(()), Some(&0x55)), "{step:?}");
            assert_eq!(script.failures, usize::from(noticed), "{step:?}");
        }
    }

    #[test]
    fn reads_of_whole_units() {
        for (unit_size, from, len, expected) in
            [(1, 5, 7, (0, 7)), (4, 8, 7, (0, 4)), (4, 8, 3, (0, 0)), (4, 9, 8, (1, 0)), (64, 63, 1, (63, 0))]
        {
            assert_eq!(
                whole_units(unit_size, from, len),
                expected,
                "{len} at {from} in units of {unit_size}"
            );
        }
    }
}
