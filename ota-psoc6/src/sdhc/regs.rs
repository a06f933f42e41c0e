//! Registers of SDHC0: offsets from [`CORE`] with their widths, and the bits used of each.
//!
//! The block is a standard SD host controller, version 4 (SD Host Controller Simplified Specification), behind a small
//! wrapper of Infineon's (PSoC 6 registers, MXSDHC).

/// Wrapper: `CTL`, 32 bit; bit 31 enables the block.
pub(super) const WRAPPER_CTL: u32 = 0x4046_0000;
pub(super) const WRAPPER_ENABLE: u32 = 1 << 31;

/// The controller itself.
pub(super) const CORE: u32 = 0x4046_1000;

/// 32 bit. In version 4 mode the block count of PIO.
pub(super) const SDMASA: u32 = CORE;
/// 16 bit.
pub(super) const BLOCKSIZE: u32 = CORE + 0x04;
/// 16 bit.
pub(super) const BLOCKCOUNT: u32 = CORE + 0x06;
/// 32 bit.
pub(super) const ARGUMENT: u32 = CORE + 0x08;
/// 16 bit.
pub(super) const XFER_MODE: u32 = CORE + 0x0C;
/// 16 bit; the write starts the command.
pub(super) const CMD: u32 = CORE + 0x0E;
/// 32 bit.
pub(super) const RESP01: u32 = CORE + 0x10;
/// 32 bit, one word of the block per access.
pub(super) const BUF_DATA: u32 = CORE + 0x20;
/// 32 bit.
pub(super) const PSTATE: u32 = CORE + 0x24;
/// 8 bit.
pub(super) const HOST_CTRL1: u32 = CORE + 0x28;
/// 8 bit.
pub(super) const PWR_CTRL: u32 = CORE + 0x29;
/// 16 bit.
pub(super) const CLK_CTRL: u32 = CORE + 0x2C;
/// 8 bit.
pub(super) const TOUT_CTRL: u32 = CORE + 0x2E;
/// 8 bit.
pub(super) const SW_RST: u32 = CORE + 0x2F;
/// 16 bit, write 1 to clear.
pub(super) const NORMAL_INT_STAT: u32 = CORE + 0x30;
/// 16 bit, write 1 to clear.
pub(super) const ERROR_INT_STAT: u32 = CORE + 0x32;
/// 16 bit.
pub(super) const NORMAL_INT_STAT_EN: u32 = CORE + 0x34;
/// 16 bit.
pub(super) const ERROR_INT_STAT_EN: u32 = CORE + 0x36;
/// 16 bit.
pub(super) const NORMAL_INT_SIGNAL_EN: u32 = CORE + 0x38;
/// 16 bit.
pub(super) const ERROR_INT_SIGNAL_EN: u32 = CORE + 0x3A;
/// 16 bit.
pub(super) const HOST_CTRL2: u32 = CORE + 0x3E;
/// 32 bit: pads of the wrapper.
pub(super) const GP_OUT: u32 = CORE + 0x534;

pub(super) mod xfer_mode {
    pub(in super::super) const COUNT_BLOCKS: u16 = 1 << 1;
    pub(in super::super) const READ: u16 = 1 << 4;
    pub(in super::super) const MANY_BLOCKS: u16 = 1 << 5;
}

pub(super) mod pstate {
    pub(in super::super) const CMD_INHIBIT: u32 = 1 << 0;
    pub(in super::super) const DAT_INHIBIT: u32 = 1 << 1;
}

pub(super) mod host_ctrl1 {
    pub(in super::super) const FOUR_BIT: u8 = 1 << 1;
    pub(in super::super) const HIGH_SPEED: u8 = 1 << 2;
}

/// Bus power on, 3.3 V.
pub(super) const PWR_CTRL_3V3: u8 = 7 << 1 | 1;

pub(super) mod clk_ctrl {
    pub(in super::super) const INTERNAL_ENABLE: u16 = 1 << 0;
    pub(in super::super) const INTERNAL_STABLE: u16 = 1 << 1;
    pub(in super::super) const CARD_ENABLE: u16 = 1 << 2;
}

/// The longest data timeout there is: 2^27 cycles of the timeout clock.
pub(super) const TOUT_MAX: u8 = 0xE;

pub(super) mod sw_rst {
    pub(in super::super) const CMD: u8 = 1 << 1;
    pub(in super::super) const DAT: u8 = 1 << 2;
}

pub(super) mod normal {
    pub(in super::super) const CMD_COMPLETE: u16 = 1 << 0;
    pub(in super::super) const XFER_COMPLETE: u16 = 1 << 1;
    pub(in super::super) const BUF_WR_READY: u16 = 1 << 4;
    pub(in super::super) const BUF_RD_READY: u16 = 1 << 5;
    /// A level: the card holds DAT1 low until what it asks for is done. Writing 1 does not clear it.
    pub(in super::super) const CARD_INTERRUPT: u16 = 1 << 8;
    pub(in super::super) const ERROR: u16 = 1 << 15;
    /// All that can be reported; bit 15 follows the error register by itself.
    pub(in super::super) const ALL: u16 = 0x1FFF;
}

pub(super) mod error {
    pub(in super::super) const CMD_TIMEOUT: u16 = 1 << 0;
    pub(in super::super) const CMD_CRC: u16 = 1 << 1;
    pub(in super::super) const CMD_END_BIT: u16 = 1 << 2;
    pub(in super::super) const CMD_INDEX: u16 = 1 << 3;
    pub(in super::super) const DATA_TIMEOUT: u16 = 1 << 4;
    pub(in super::super) const DATA_CRC: u16 = 1 << 5;
    pub(in super::super) const DATA_END_BIT: u16 = 1 << 6;
    pub(in super::super) const ALL: u16 = 0x07FF;
}

/// Version 4 mode.
pub(super) const HOST_CTRL2_V4: u16 = 1 << 12;
/// The clock pad drives.
pub(super) const GP_OUT_CLOCK: u32 = 1 << 3;
