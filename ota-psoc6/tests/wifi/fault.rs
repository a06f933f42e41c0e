//! What goes wrong, and when.

/// Something that goes wrong with a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    NoResponse,
    ResponseCrc,
    ResponseEnd,
    ResponseIndex,
    /// The card refuses with the flag "general error".
    Refused,
    /// The controller reports nothing at all.
    Silent,
    /// The lines stay busy until they are reset.
    LinesBusy,
    DataTimeout,
    DataCrc,
    DataEnd,
}

/// Those of a command without data.
pub(crate) const OF_COMMANDS: [Fault; 5] =
    [Fault::NoResponse, Fault::ResponseCrc, Fault::ResponseEnd, Fault::ResponseIndex, Fault::Silent];

/// Those of a command with data.
pub(crate) const OF_TRANSFERS: [Fault; 6] = [
    Fault::NoResponse,
    Fault::ResponseCrc,
    Fault::Silent,
    Fault::DataTimeout,
    Fault::DataCrc,
    Fault::DataEnd,
];

impl Fault {
    /// The bit of the error register, for faults that have one.
    pub(crate) fn error_bit(self) -> Option<u16> {
        match self {
            Fault::NoResponse => Some(1 << 0),
            Fault::ResponseCrc => Some(1 << 1),
            Fault::ResponseEnd => Some(1 << 2),
            Fault::ResponseIndex => Some(1 << 3),
            Fault::DataTimeout => Some(1 << 4),
            Fault::DataCrc => Some(1 << 5),
            Fault::DataEnd => Some(1 << 6),
            Fault::Refused | Fault::Silent | Fault::LinesBusy => None,
        }
    }

    pub(crate) fn is_of_data(self) -> bool {
        matches!(self, Fault::DataTimeout | Fault::DataCrc | Fault::DataEnd)
    }
}

/// A fault, from one command on, for some commands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub fault: Fault,
    /// First command hit, counted from 0 over all commands.
    pub from: usize,
    /// How many are hit. Only commands of `index` count, if given.
    pub count: usize,
    pub index: Option<u8>,
    /// Only transfers of this function count, if given.
    pub function: Option<u8>,
    /// Only transfers in this direction count, if given.
    pub write: Option<bool>,
    /// Not the tags of frames, which are read again and again.
    pub not_tags: bool,
    /// Not when it is sent again: every command fails once. The one that was hit last.
    pub first_try_only: Option<Option<(u8, u32)>>,
}

/// Bytes, and so the count of a transfer in bytes.
const TAG_LEN: u32 = 4;
/// CMD52: the card is told to stop. Nobody sends it again.
const ABORT: u32 = 1 << 31 | 0x06 << 9;

impl Plan {
    /// One fault in command number `from`.
    pub(crate) fn once(fault: Fault, from: usize) -> Self {
        Self {
            fault,
            from,
            count: 1,
            index: None,
            function: None,
            write: None,
            not_tags: false,
            first_try_only: None,
        }
    }

    /// A fault in every command from number `from` on.
    pub(crate) fn from(fault: Fault, from: usize) -> Self {
        Self { count: usize::MAX, ..Self::once(fault, from) }
    }

    /// A fault in the first try of every command from number `from` on that the fault can hit.
    pub(crate) fn every(fault: Fault, from: usize) -> Self {
        let index = fault.is_of_data().then_some(53);
        Self { index, first_try_only: Some(None), ..Self::from(fault, from) }
    }

    /// The fault for command number `at`, if it is one of those.
    pub(crate) fn take(&mut self, at: usize, index: u8, argument: u32) -> Option<Fault> {
        let function = (argument >> 28) as u8 & 7;
        let hit = at >= self.from
            && self.count > 0
            && self.index.is_none_or(|wanted| wanted == index)
            && self.function.is_none_or(|wanted| index == 53 && wanted == function)
            && self.write.is_none_or(|wanted| wanted == (argument >> 31 != 0))
            && !(self.not_tags && argument & (1 << 27 | 0x1FF) == TAG_LEN);
        let hit = hit && self.is_first_try(index, argument);
        if hit {
            self.count -= 1;
        }
        hit.then_some(self.fault)
    }

    fn is_first_try(&mut self, index: u8, argument: u32) -> bool {
        let Some(last) = &mut self.first_try_only else { return true };
        let this = Some((index, argument));
        if index == 52 && argument & !7 == ABORT {
            return false;
        }
        *last = if *last == this { None } else { this };
        last.is_some()
    }
}
