//! An SDIO card: how it is enumerated, its common registers, CMD52 and CMD53 taken apart.

use crate::chip::Chip;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Not there.
    Absent,
    Idle,
    /// CMD5 with voltages was answered with "ready".
    Ready,
    Standby,
    Selected,
}

pub(crate) const ADDRESS: u16 = 0x1234;
const VOLTAGES: u32 = 0x00FF_8000;

pub(crate) struct Card {
    stage: Stage,
    /// CMD5s with voltages that are answered with "busy" first.
    pub busy_count: u32,
    pub chip: Chip,
    io_enable: u8,
    interrupt_enable: u8,
    bus_control: u8,
    speed: u8,
    block_size: [u16; 3],
    /// Functions that were told to stop.
    pub aborts: Vec<u8>,
}

impl Card {
    pub(crate) fn new(chip: Chip) -> Self {
        Self {
            stage: Stage::Idle,
            busy_count: 0,
            chip,
            io_enable: 0,
            interrupt_enable: 0,
            bus_control: 0,
            speed: 1,
            block_size: [0; 3],
            aborts: Vec::new(),
        }
    }

    pub(crate) fn absent() -> Self {
        Self { stage: Stage::Absent, ..Self::new(Chip::new(43430)) }
    }

    pub(crate) fn is_four_bit(&self) -> bool {
        self.bus_control & 0b11 == 0b10
    }

    /// The card holds DAT1 low.
    pub(crate) fn wants_attention(&self) -> bool {
        self.stage == Stage::Selected
            && self.interrupt_enable & 1 != 0
            && self.interrupt_enable & 1 << 2 != 0
            && self.chip.has_frames()
    }

    /// Fails the test where the clock is too fast for the card.
    pub(crate) fn check_line(&self, hz: u32, high_speed: bool) {
        let limit = match self.stage {
            Stage::Selected if self.speed & 0b10 != 0 => 50_000_000,
            Stage::Selected => 25_000_000,
            Stage::Absent | Stage::Idle | Stage::Ready | Stage::Standby => 400_000,
        };
        assert!(hz <= limit, "{hz} Hz, while the card is {:?}", self.stage);
        assert!(!high_speed || self.speed & 0b10 != 0, "the timing of high speed before the card has it");
    }

    /// The answer, if there is one.
    pub(crate) fn command(&mut self, index: u8, argument: u32) -> Option<u32> {
        match (index, self.stage) {
            (_, Stage::Absent) => None,
            (0, _) => {
                // SDIO cards ignore CMD0 once they are selected over the SD bus; a new start needs a power cycle.
                Some(0)
            }
            (5, Stage::Idle | Stage::Ready) => {
                let r4 = 3 << 28 | VOLTAGES;
                if argument == 0 {
                    return Some(r4);
                }
                assert_eq!(argument, VOLTAGES, "voltages the card did not offer, or the switch to 1.8 V");
                if self.busy_count > 0 {
                    self.busy_count -= 1;
                    return Some(r4);
                }
                self.stage = Stage::Ready;
                Some(1 << 31 | r4)
            }
            (3, Stage::Ready | Stage::Standby) => {
                self.stage = Stage::Standby;
                Some(u32::from(ADDRESS) << 16)
            }
            // A card in stand-by answers CMD5 again after CMD0 in this model, as the module does until it is selected.
            (5, Stage::Standby) => {
                self.stage = Stage::Idle;
                self.command(5, argument)
            }
            (7, Stage::Standby) if argument == u32::from(ADDRESS) << 16 => {
                self.stage = Stage::Selected;
                Some(0)
            }
            (52, Stage::Selected) => Some(self.cmd52(argument)),
            (53, Stage::Selected) => {
                let function = (argument >> 28 & 7) as u8;
                let enabled = function == 0 || self.io_enable & 1 << function != 0;
                let block_size_set = argument & 1 << 27 == 0 || self.block_size[usize::from(function)] == 64;
                Some(if enabled && block_size_set { 0 } else { 0x0200 })
            }
            _ => None,
        }
    }

    /// Bytes CMD53 moves.
    pub(crate) fn transfer_len(&self, argument: u32) -> usize {
        let count = (argument & 0x1FF) as usize;
        let function = (argument >> 28 & 7) as usize;
        match argument & 1 << 27 {
            0 if count == 0 => 512,
            0 => count,
            _ => count * usize::from(self.block_size[function]),
        }
    }

    pub(crate) fn read(&mut self, argument: u32) -> Vec<u8> {
        let len = self.transfer_len(argument);
        let at = argument >> 9 & 0x1_FFFF;
        assert_ne!(argument & 1 << 26, 0, "the address has to count up");
        match argument >> 28 & 7 {
            1 => self.chip.read_backplane(at, len),
            2 => self.chip.read_frames(len),
            other => panic!("CMD53 read of function {other}"),
        }
    }

    pub(crate) fn write(&mut self, argument: u32, data: &[u8]) {
        let at = argument >> 9 & 0x1_FFFF;
        match argument >> 28 & 7 {
            1 => self.chip.write_backplane(at, data),
            2 => self.chip.write_frames(data),
            other => panic!("CMD53 write of function {other}"),
        }
    }

    fn cmd52(&mut self, argument: u32) -> u32 {
        let (is_write, function, at) = (argument >> 31 != 0, argument >> 28 & 7, argument >> 9 & 0x1_FFFF);
        let value = argument as u8;
        match (function, is_write) {
            (0, true) => self.write_common(at, value),
            (0, false) => return self.read_common(at).into(),
            (1, true) if self.io_enable & 0b10 != 0 => self.chip.write8(at, value),
            (1, false) if self.io_enable & 0b10 != 0 => return self.chip.read8(at).into(),
            _ => return 0x0200,
        }
        value.into()
    }

    fn read_common(&self, at: u32) -> u8 {
        match at {
            0x02 => self.io_enable,
            0x03 => {
                let ready2 = if self.chip.is_running() { 0b100 } else { 0 };
                self.io_enable & (0b010 | ready2)
            }
            0x04 => self.interrupt_enable,
            0x07 => self.bus_control,
            0x10 => self.block_size[0] as u8,
            0x13 => self.speed,
            0x110 => self.block_size[1] as u8,
            0x210 => self.block_size[2] as u8,
            0xF0 => 0,
            _ => panic!("read of common register {at:#x}"),
        }
    }

    fn write_common(&mut self, at: u32, value: u8) {
        match at {
            0x02 => self.io_enable = value,
            0x04 => self.interrupt_enable = value,
            0x06 => self.aborts.push(value),
            0x07 => self.bus_control = value,
            0x10 => self.block_size[0] = value.into(),
            0x13 => self.speed = self.speed & 1 | value & 0b10,
            0x110 => self.block_size[1] = value.into(),
            0x210 => self.block_size[2] = value.into(),
            0x211 => assert_eq!(value, 0),
            0xF2 => {}
            _ => panic!("write of common register {at:#x}"),
        }
    }
}
