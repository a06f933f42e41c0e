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

/// One thing to do with flash, at the place on the [`Desk`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Read to the front of the buffer, at most as much as it holds.
    Read,
    /// Program a part of the buffer and read it back.
    Program,
    /// Erase.
    Erase,
    /// Erase, and see that all of it reads as erased.
    Wipe,
    /// Nothing is left to do.
    Done,
}

/// The next step, or why it cannot be done. A number: where and with what lies on the desk, and is copied nowhere.
pub(crate) type Next = Result<Step, FlashError>;

/// What a script and the loop that does it have between them. Offsets are those of the device.
pub(crate) struct Desk<'b> {
    /// After [`Step::Read`] it begins with what was read; a script may prepare in it what to program.
    pub(crate) buffer: &'b mut [u8],
    /// What the step is about.
    place: Range<u32>,
    /// Where in the buffer the bytes to program begin.
    begin: usize,
}

impl Desk<'_> {
    /// The step that reads `place`.
    pub(crate) fn read(&mut self, place: Range<u32>) -> Next {
        self.place = place;
        Ok(Step::Read)
    }

    /// The step that programs this part of the buffer at `at`.
    pub(crate) fn program(&mut self, at: u32, part: Range<usize>) -> Next {
        self.begin = part.start;
        self.place = at..at.saturating_add(part.end.saturating_sub(part.start) as u32);
        Ok(Step::Program)
    }

    /// The step that erases `place`.
    pub(crate) fn erase(&mut self, place: Range<u32>) -> Next {
        self.place = place;
        Ok(Step::Erase)
    }

    /// The step that erases `place` and sees that it is.
    pub(crate) fn wipe(&mut self, place: Range<u32>) -> Next {
        self.place = place;
        Ok(Step::Wipe)
    }
}

/// Decides one step at a time.
pub(crate) trait Script {
    /// The next step.
    fn next(&mut self, desk: &mut Desk<'_>) -> Next;

    /// The last step failed. `Ok`: the script knows what to do about it, and is asked for its next step.
    fn failed(&mut self, error: FlashError) -> Result<(), FlashError> {
        Err(error)
    }
}

/// Wipes a place: a script with one step.
pub(crate) struct Wipe(pub(crate) Range<u32>);

impl Script for Wipe {
    fn next(&mut self, desk: &mut Desk<'_>) -> Next {
        let place = core::mem::take(&mut self.0);
        if place.is_empty() { Ok(Step::Done) } else { desk.wipe(place) }
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
        let mut work = Work::new(buffer, *erased, changes, script);
        let mut done = Ok(());
        loop {
            let step = work.next(done)?;
            let Range { start, end } = work.now;
            done = match step {
                Step::Read => read(flash, start, work.bytes()).await,
                Step::Program => flash.write(start, work.bytes()).await.map_err(fault),
                Step::Erase | Step::Wipe => flash.erase(start, end).await.map_err(fault),
                Step::Done => return Ok(()),
            };
        }
    }
}

/// A script under way, and the look at flash that some of its steps end with.
struct Work<'w> {
    desk: Desk<'w>,
    erased: u8,
    changes: &'w mut u32,
    script: &'w mut dyn Script,
    /// What the driver is to do now is about this place.
    now: Range<u32>,
    /// It is a look at what was changed last.
    looks: bool,
    /// What of flash is still to be looked at.
    look: Range<u32>,
    /// It should be what the buffer holds, from its `begin` on; else erased.
    programmed: bool,
    /// What flash holds of a part that was programmed: the buffer is kept to compare it with.
    held: [u8; MAX_READ_SIZE],
}

impl<'w> Work<'w> {
    fn new(buffer: &'w mut [u8], erased: u8, changes: &'w mut u32, script: &'w mut dyn Script) -> Self {
        let desk = Desk { buffer, place: 0..0, begin: 0 };
        let held = [0; MAX_READ_SIZE];
        Self { desk, erased, changes, script, now: 0..0, looks: false, look: 0..0, programmed: false, held }
    }

    /// Bytes to read to or to program from.
    fn bytes(&mut self) -> &mut [u8] {
        let bytes = if !self.programmed {
            &mut *self.desk.buffer
        } else if self.looks {
            &mut self.held[..]
        } else {
            self.desk.buffer.get_mut(self.desk.begin..).unwrap_or_default()
        };
        buffer(bytes, self.now.end.saturating_sub(self.now.start))
    }

    /// The next operation, after the last one ended with `done`.
    fn next(&mut self, done: Result<(), FlashError>) -> Next {
        if let Err(error) = done.and_then(|()| self.compare()) {
            self.look = 0..0;
            self.script.failed(error)?;
        }
        self.looks = !self.look.is_empty();
        if self.looks {
            let room = if self.programmed { self.held.len() } else { self.desk.buffer.len() } as u32;
            let end = self.look.end.min(self.look.start.saturating_add(room));
            self.now = self.look.start..end;
            self.look.start = end;
            return Ok(Step::Read);
        }
        let step = self.script.next(&mut self.desk)?;
        self.now = self.desk.place.clone();
        self.programmed = step == Step::Program;
        if self.programmed || step == Step::Wipe {
            self.look = self.now.clone();
        }
        if !matches!(step, Step::Read | Step::Done) {
            *self.changes = self.changes.wrapping_add(1);
        }
        Ok(step)
    }

    /// Compares what was looked at, if something was.
    fn compare(&mut self) -> Result<(), FlashError> {
        if !core::mem::take(&mut self.looks) {
            return Ok(());
        }
        let len = (self.now.end - self.now.start) as usize;
        let is_right = if self.programmed {
            let wanted = self.desk.buffer.get(self.desk.begin..).and_then(|bytes| bytes.get(..len));
            self.desk.begin = self.desk.begin.saturating_add(len);
            wanted == self.held.get(..len)
        } else {
            is_all(front(self.desk.buffer, len), self.erased)
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

    #[derive(Clone, Debug)]
    enum Said {
        Read(Range<u32>),
        Program(u32, Range<usize>),
        Erase(Range<u32>),
        Wipe(Range<u32>),
    }

    /// Says its steps and notes what it was asked with.
    struct Recital {
        steps: Vec<Said>,
        seen: Vec<u8>,
        failures: usize,
        forgives: bool,
    }

    impl Script for Recital {
        fn next(&mut self, desk: &mut Desk<'_>) -> Next {
            self.seen.push(desk.buffer[0]);
            match if self.steps.is_empty() { None } else { Some(self.steps.remove(0)) } {
                Some(Said::Read(place)) => desk.read(place),
                Some(Said::Program(at, part)) => desk.program(at, part),
                Some(Said::Erase(place)) => desk.erase(place),
                Some(Said::Wipe(place)) => desk.wipe(place),
                None => Ok(Step::Done),
            }
        }

        fn failed(&mut self, error: FlashError) -> Result<(), FlashError> {
            self.failures += 1;
            if self.forgives { Ok(()) } else { Err(error) }
        }
    }

    fn recital(steps: Vec<Said>) -> Recital {
        Recital { steps, seen: vec![], failures: 0, forgives: false }
    }

    /// Lets a script work on bytes in RAM, which a dead flash does not change.
    fn work(
        flash: &mut [u8],
        buffer: &mut [u8],
        script: &mut dyn Script,
        is_dead: bool,
    ) -> (Result<(), FlashError>, u32) {
        let mut changes = 0;
        let mut work = Work::new(buffer, 0xFF, &mut changes, script);
        let outcome = loop {
            let step = match work.next(Ok(())) {
                Err(error) => break Err(error),
                Ok(Step::Done) => break Ok(()),
                Ok(step) => step,
            };
            let (at, end) = (work.now.start as usize, work.now.end as usize);
            let bytes = work.bytes();
            match step {
                Step::Read => bytes.copy_from_slice(&flash[at..][..bytes.len()]),
                Step::Program | Step::Erase | Step::Wipe if is_dead => {}
                Step::Program => flash[at..][..bytes.len()].copy_from_slice(bytes),
                Step::Erase | Step::Wipe => flash[at..end].fill(0xFF),
                Step::Done => {}
            }
        };
        (outcome, changes)
    }

    #[test]
    fn a_script_reads_programs_and_erases() {
        let mut flash: Vec<u8> = (0..=255).collect();
        let mut script = recital(vec![
            Said::Read(7..200),
            Said::Program(100, 1..90),
            Said::Erase(0..16),
            Said::Wipe(200..256),
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
            (Said::Program(0, 0..80), true),
            (Said::Wipe(0..128), true),
            (Said::Erase(0..128), false),
            (Said::Read(0..8), false),
        ] {
            let expected = if noticed { Err(FlashError::ReadBack) } else { Ok(()) };
            let mut script = recital(vec![step.clone()]);
            let (outcome, _) = work(&mut [0x55; 128], &mut [1; 96], &mut script, true);
            assert_eq!(outcome, expected, "{step:?}");
            // A script that knows what to do is asked again, and nothing of the failed look is left.
            let mut script = Recital { forgives: true, ..recital(vec![step.clone(), Said::Read(5..6)]) };
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
