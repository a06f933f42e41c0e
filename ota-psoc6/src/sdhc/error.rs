//! What can go wrong between host and card.

use super::regs::error as bit;

/// A command that failed, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Error {
    /// Index of the command: 0, 3, 5, 7, 52 or 53. [`Error::HOST`] where the controller failed before any.
    pub command: u8,
    /// How it failed.
    pub kind: Kind,
}

impl Error {
    /// In the place of a command: it was the controller, not a command.
    pub const HOST: u8 = 0xFF;

    pub(super) const fn host(kind: Kind) -> Self {
        Self { command: Self::HOST, kind }
    }
}

/// How a command failed. The numbers are fixed: logs and counters may keep them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// The card did not answer.
    NoResponse = 1,
    /// The answer's checksum was wrong.
    ResponseCrc = 2,
    /// The answer did not end as it must.
    ResponseEnd = 3,
    /// The answer belonged to another command.
    ResponseIndex = 4,
    /// Data stopped coming, or the card stayed busy.
    DataTimeout = 5,
    /// A block's checksum was wrong, or the card said that about ours.
    DataCrc = 6,
    /// A block did not end as it must.
    DataEnd = 7,
    /// The card understood and refused: bits 15:8 of its answer (R5: 7 checksum, 6 illegal, 3 general, 1 function,
    /// 0 out of range).
    Refused(u8) = 8,
    /// The controller did not report what it must report, within the bound of the wait.
    Timeout = 9,
    /// The controller's lines never became free for a new command.
    LinesBusy = 10,
    /// The controller's own clock did not become stable. Is clk_hf4 on?
    ClockNotStable = 11,
    /// A reset of the command or data part did not end.
    ResetStuck = 12,
    /// The card never left its start-up.
    NotReady = 13,
    /// Bits of the error register that have no name here.
    Unknown(u16) = 14,
}

impl Kind {
    /// The first of the reasons in the error register, in the order in which they explain each other.
    pub(super) const fn of(bits: u16) -> Self {
        match bits {
            _ if bits & bit::CMD_TIMEOUT != 0 => Self::NoResponse,
            _ if bits & bit::CMD_CRC != 0 => Self::ResponseCrc,
            _ if bits & bit::CMD_END_BIT != 0 => Self::ResponseEnd,
            _ if bits & bit::CMD_INDEX != 0 => Self::ResponseIndex,
            _ if bits & bit::DATA_TIMEOUT != 0 => Self::DataTimeout,
            _ if bits & bit::DATA_CRC != 0 => Self::DataCrc,
            _ if bits & bit::DATA_END_BIT != 0 => Self::DataEnd,
            _ => Self::Unknown(bits),
        }
    }

    /// Whether the same command may well succeed when it is sent again: noise on the line, not a refusal.
    pub const fn is_transient(self) -> bool {
        match self {
            Self::ResponseCrc
            | Self::ResponseEnd
            | Self::ResponseIndex
            | Self::DataCrc
            | Self::DataEnd
            | Self::NoResponse
            | Self::DataTimeout
            | Self::Timeout
            | Self::LinesBusy => true,
            Self::Refused(_)
            | Self::ClockNotStable
            | Self::ResetStuck
            | Self::NotReady
            | Self::Unknown(_) => false,
        }
    }
}
