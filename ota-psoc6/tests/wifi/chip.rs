//! Of the CYW4343W what is behind the bus: its backplane as far as the upload goes, and its queue of frames.

use std::collections::VecDeque;

pub(crate) const RAM_SIZE: usize = 512 * 1024;
const CHIPCOMMON: u32 = 0x1800_0000;
const SOCSRAM_BANK: [u32; 2] = [0x1800_4010, 0x1800_4044];
const ARM: u32 = 0x1810_3000;
const SOCSRAM: u32 = 0x1810_4000;
const IO_CONTROL: u32 = 0x408;
const RESET_CONTROL: u32 = 0x800;
const SDIOD: u32 = 0x1800_2000;

#[derive(Clone, Copy)]
struct Core {
    io_control: u8,
    in_reset: bool,
}

pub(crate) struct Chip {
    id: u16,
    window: u32,
    clock: u8,
    sleep: u8,
    pull_up: u8,
    watermark: u8,
    arm: Core,
    socsram: Core,
    bank: [u32; 2],
    pub ram: Vec<u8>,
    /// The firmware starts when the core does. Otherwise the core runs and nothing comes of it.
    pub firmware_is_good: bool,
    /// The slow clock starts when asked for.
    pub has_clock: bool,
    /// Times the ARM core was started.
    pub starts: u32,
    /// Frames for the host.
    to_host: VecDeque<Vec<u8>>,
    offset: usize,
    from_host: Vec<u8>,
    last_sequence: u8,
    /// Frames of the host.
    pub received: Vec<Vec<u8>>,
    /// What the firmware does with a frame.
    pub answer: fn(&[u8]) -> Vec<Vec<u8>>,
}

impl Chip {
    pub(crate) fn new(id: u16) -> Self {
        let running = Core { io_control: 1, in_reset: false };
        Self {
            id,
            window: 0xFFFF_FFFF,
            clock: 0,
            sleep: 0,
            pull_up: 0xF,
            watermark: 0,
            arm: running,
            socsram: running,
            bank: [0xFFFF_FFFF; 2],
            ram: vec![0xA5; RAM_SIZE],
            firmware_is_good: true,
            has_clock: true,
            starts: 0,
            to_host: VecDeque::new(),
            offset: 0,
            from_host: Vec::new(),
            last_sequence: 0,
            received: Vec::new(),
            answer: |_| Vec::new(),
        }
    }

    pub(crate) fn is_running(&self) -> bool {
        self.starts > 0 && self.firmware_is_good && !self.arm.in_reset
    }

    pub(crate) fn push_frame(&mut self, mut frame: Vec<u8>) {
        // Leave to send some more frames, counted from the host's last.
        if let Some(credit) = frame.get_mut(9) {
            *credit = self.last_sequence.wrapping_add(20);
        }
        self.to_host.push_back(frame);
    }

    pub(crate) fn has_frames(&self) -> bool {
        !self.to_host.is_empty()
    }

    pub(crate) fn read8(&mut self, at: u32) -> u8 {
        match at {
            0..0x1_0000 => self.load(at, 1)[0],
            0x1_0008 => self.watermark,
            0x1_000E => {
                let alp =
                    if self.has_clock && self.clock & 0x09 != 0 || self.is_running() { 0x40 } else { 0 };
                // The fast clock comes with the firmware.
                let ht = if self.is_running() { 0x80 } else { 0 };
                self.clock | alp | ht
            }
            0x1_000F => self.pull_up,
            0x1_001F => self.sleep,
            _ => panic!("read of function 1 at {at:#x}"),
        }
    }

    pub(crate) fn write8(&mut self, at: u32, value: u8) {
        match at {
            0..0x1_0000 => self.store(at, &[value]),
            0x1_0008 => self.watermark = value,
            0x1_000A => self.window = self.window & 0xFFFF_00FF | u32::from(value & 0x80) << 8,
            0x1_000B => self.window = self.window & 0xFF00_FFFF | u32::from(value) << 16,
            0x1_000C => self.window = self.window & 0x00FF_FFFF | u32::from(value) << 24,
            0x1_000D => self.drop_frame(value),
            0x1_000E => self.clock = value & 0x3F,
            0x1_000F => self.pull_up = value,
            0x1_001F => self.sleep = value,
            _ => panic!("write of function 1 at {at:#x}"),
        }
        self.window &= 0xFFFF_8000;
    }

    pub(crate) fn read_backplane(&mut self, at: u32, len: usize) -> Vec<u8> {
        self.load(at, len)
    }

    pub(crate) fn write_backplane(&mut self, at: u32, data: &[u8]) {
        self.store(at, data);
    }

    fn address(&self, at: u32, len: usize) -> u32 {
        // The flag for accesses of 32 bits is part of the address.
        let offset = at & 0x7FFF;
        assert!(offset as usize + len <= 0x8000, "a transfer over the end of the window");
        self.window | offset
    }

    fn load(&mut self, at: u32, len: usize) -> Vec<u8> {
        let address = self.address(at, len);
        if let Some(range) = self.in_ram(address, len) {
            return self.ram[range].to_vec();
        }
        let value = match address {
            CHIPCOMMON => u32::from(self.id) | 0x1000_0000,
            _ if address == CHIPCOMMON + 1 => u32::from(self.id) >> 8,
            _ if address == ARM + IO_CONTROL => self.arm.io_control.into(),
            _ if address == ARM + RESET_CONTROL => self.arm.in_reset.into(),
            _ if address == SOCSRAM + IO_CONTROL => self.socsram.io_control.into(),
            _ if address == SOCSRAM + RESET_CONTROL => self.socsram.in_reset.into(),
            _ if address == SDIOD + 0x20 => 0,
            _ if address == SDIOD + 0x4C => 0,
            _ => panic!("load of {len} bytes at {address:#x}"),
        };
        value.to_le_bytes()[..len].to_vec()
    }

    fn store(&mut self, at: u32, data: &[u8]) {
        let address = self.address(at, data.len());
        if let Some(range) = self.in_ram(address, data.len()) {
            assert!(self.arm.in_reset, "RAM is written under a running core");
            assert!(!self.socsram.in_reset, "the memory is in reset");
            assert_eq!(self.bank, [3, 0], "the last bank is remapped");
            self.ram[range].copy_from_slice(data);
            return;
        }
        let mut word = [0; 4];
        word[..data.len()].copy_from_slice(data);
        let (value, byte) = (u32::from_le_bytes(word), word[0]);
        match address {
            _ if address == ARM + IO_CONTROL => self.arm.io_control = byte,
            _ if address == ARM + RESET_CONTROL => {
                self.arm.in_reset = byte & 1 != 0;
                if !self.arm.in_reset {
                    self.starts += 1;
                }
            }
            _ if address == SOCSRAM + IO_CONTROL => self.socsram.io_control = byte,
            _ if address == SOCSRAM + RESET_CONTROL => self.socsram.in_reset = byte & 1 != 0,
            _ if address == SOCSRAM_BANK[0] => self.bank[0] = value,
            _ if address == SOCSRAM_BANK[1] => self.bank[1] = value,
            _ if [0x20, 0x24, 0x34, 0x40].map(|offset| SDIOD + offset).contains(&address) => {}
            _ => panic!("store of {} bytes at {address:#x}", data.len()),
        }
    }

    fn in_ram(&self, address: u32, len: usize) -> Option<std::ops::Range<usize>> {
        let from = address as usize;
        (from + len <= RAM_SIZE).then_some(from..from + len)
    }

    /// Bytes of the first frame; past its end, and without a frame, zeros.
    pub(crate) fn read_frames(&mut self, len: usize) -> Vec<u8> {
        let Some(frame) = self.to_host.front() else {
            return vec![0; len];
        };
        let rest = &frame[self.offset..];
        let mut data = rest[..rest.len().min(len)].to_vec();
        self.offset += data.len();
        if self.offset == frame.len() {
            self.to_host.pop_front();
            self.offset = 0;
        }
        data.resize(len, 0);
        data
    }

    /// The host gives up the frame it reads (bit 0) or writes (bit 1).
    fn drop_frame(&mut self, bits: u8) {
        if bits & 1 != 0 {
            self.to_host.pop_front();
            self.offset = 0;
        }
        if bits & 2 != 0 {
            self.from_host.clear();
        }
    }

    /// Parts of frames, which begin with their length and are padded to words.
    pub(crate) fn write_frames(&mut self, data: &[u8]) {
        self.from_host.extend_from_slice(data);
        loop {
            let Some(tag) = self.from_host.first_chunk::<4>() else { return };
            let len = u16::from_le_bytes([tag[0], tag[1]]);
            assert_eq!(!len, u16::from_le_bytes([tag[2], tag[3]]), "not the start of a frame");
            let padded = usize::from(len).next_multiple_of(4);
            if self.from_host.len() < padded {
                return;
            }
            self.last_sequence = self.from_host[4];
            let frame: Vec<u8> = self.from_host.drain(..padded).collect();
            for answer in (self.answer)(&frame[..usize::from(len)]) {
                self.push_frame(answer);
            }
            self.received.push(frame);
        }
    }
}
