//! The controller's registers, at the level of single accesses: what may be read and written when, and what then happens.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
};

use embassy_futures::yield_now;
use embedded_hal_async::delay::DelayNs;
use ota_psoc6::{
    bus::Bus,
    sdhc::{Host, Interrupt},
};

use crate::{
    card::Card,
    fault::{Fault, Plan},
};

pub(crate) const SOURCE_HZ: u32 = 100_000_000;

const WRAPPER: u32 = 0x4046_0000;
const CORE: u32 = 0x4046_1000;

const CMD_COMPLETE: u16 = 1 << 0;
const XFER_COMPLETE: u16 = 1 << 1;
const WRITE_READY: u16 = 1 << 4;
const READ_READY: u16 = 1 << 5;
const CARD_INTERRUPT: u16 = 1 << 8;

/// A controller with a card. A reference to it is the bus.
pub(crate) struct Sim {
    pub state: RefCell<State>,
    pub interrupt: Interrupt,
    /// Whether the interrupt reaches the processor.
    pub connected: Cell<bool>,
    /// Milliseconds the driver slept.
    pub slept_ms: Cell<u32>,
    pub interrupt_count: Cell<u32>,
}

pub(crate) struct State {
    pub card: Card,
    pub plan: Option<Plan>,
    /// Every command so far: index and argument.
    pub log: Vec<(u8, u32)>,
    /// Accesses from a command to its end.
    pub latency: u32,
    /// clk_hf4 runs.
    pub clocked: bool,
    pub resets: u32,
    enabled: bool,
    host_ctrl1: u8,
    host_ctrl2: u16,
    power: u8,
    clock: u16,
    timeout: u8,
    gp_out: u32,
    xfer_mode: u16,
    block_size: u16,
    block_count: u16,
    block_count_v4: u32,
    argument: u32,
    response: u32,
    normal: u16,
    error: u16,
    normal_enable: u16,
    error_enable: u16,
    normal_signal: u16,
    error_signal: u16,
    inhibit: u32,
    stuck: bool,
    /// What happens after so many more accesses.
    due: VecDeque<(u32, Event)>,
    /// Blocks that wait to be read, or room for blocks to be written.
    words: VecDeque<u32>,
    blocks: VecDeque<Vec<u8>>,
    incoming: Vec<u8>,
    incoming_left: usize,
    data_error: Option<u16>,
}

enum Event {
    Complete,
    Error(u16),
    ReadBlock,
    WriteRoom,
    Finish,
}

impl Sim {
    pub(crate) fn new(card: Card) -> Self {
        Self {
            state: RefCell::new(State::new(card)),
            interrupt: Interrupt::new(),
            connected: Cell::new(true),
            slept_ms: Cell::new(0),
            interrupt_count: Cell::new(0),
        }
    }

    pub(crate) fn host(&self) -> Host<'_, &Self, Delay<'_>> {
        Host::new(self, Delay(self), &self.interrupt, SOURCE_HZ)
    }

    pub(crate) fn plan(&self, plan: Plan) {
        self.state.borrow_mut().plan = Some(plan);
    }

    pub(crate) fn command_count(&self) -> usize {
        self.state.borrow().log.len()
    }

    /// After every access: the interrupt, if something that may raise it is there.
    fn deliver(&self) {
        let raised = {
            let state = self.state.borrow();
            let normal = state.normal_status() & state.normal_signal;
            normal != 0 || state.error & state.error_signal != 0
        };
        if raised && self.connected.get() {
            self.interrupt_count.set(self.interrupt_count.get() + 1);
            self.interrupt.on_interrupt(self);
        }
    }
}

/// Time that passes without anybody waiting for it.
#[derive(Clone, Copy)]
pub(crate) struct Delay<'a>(pub &'a Sim);

impl DelayNs for Delay<'_> {
    async fn delay_ns(&mut self, ns: u32) {
        self.0.slept_ms.set(self.0.slept_ms.get() + ns / 1_000_000);
        self.0.state.borrow_mut().tick(1_000);
        self.0.deliver();
        yield_now().await;
    }
}

impl Bus for &Sim {
    fn read8(self, address: u32) -> u8 {
        let value = self.state.borrow_mut().read(address, 1) as u8;
        self.deliver();
        value
    }
    fn read16(self, address: u32) -> u16 {
        let value = self.state.borrow_mut().read(address, 2) as u16;
        self.deliver();
        value
    }
    fn read32(self, address: u32) -> u32 {
        let value = self.state.borrow_mut().read(address, 4);
        self.deliver();
        value
    }
    fn write8(self, address: u32, value: u8) {
        self.state.borrow_mut().write(address, 1, value.into());
        self.deliver();
    }
    fn write16(self, address: u32, value: u16) {
        self.state.borrow_mut().write(address, 2, value.into());
        self.deliver();
    }
    fn write32(self, address: u32, value: u32) {
        self.state.borrow_mut().write(address, 4, value);
        self.deliver();
    }
}

impl State {
    fn new(card: Card) -> Self {
        Self {
            card,
            plan: None,
            log: Vec::new(),
            latency: 3,
            clocked: true,
            resets: 0,
            enabled: false,
            host_ctrl1: 0,
            host_ctrl2: 0,
            power: 0,
            clock: 0,
            timeout: 0,
            gp_out: 0,
            xfer_mode: 0,
            block_size: 0,
            block_count: 0,
            block_count_v4: 0,
            argument: 0,
            response: 0,
            normal: 0,
            error: 0,
            normal_enable: 0,
            error_enable: 0,
            normal_signal: 0,
            error_signal: 0,
            inhibit: 0,
            stuck: false,
            due: VecDeque::new(),
            words: VecDeque::new(),
            blocks: VecDeque::new(),
            incoming: Vec::new(),
            incoming_left: 0,
            data_error: None,
        }
    }

    /// The card clock, if it runs.
    pub(crate) fn card_hz(&self) -> Option<u32> {
        let divider = u32::from(self.clock >> 8) | u32::from(self.clock >> 6 & 3) << 8;
        let runs = self.enabled && self.clocked && self.clock & 0b101 == 0b101 && self.gp_out & 1 << 3 != 0;
        runs.then(|| if divider == 0 { SOURCE_HZ } else { SOURCE_HZ / (2 * divider) })
    }

    fn normal_status(&self) -> u16 {
        let card = if self.card.wants_attention() { CARD_INTERRUPT & self.normal_enable } else { 0 };
        let error = if self.error != 0 { 1 << 15 } else { 0 };
        self.normal | card | error
    }

    fn read(&mut self, address: u32, width: u32) -> u32 {
        self.tick(1);
        let offset = address.wrapping_sub(CORE);
        match (offset, width) {
            (0x10, 4) => self.response,
            (0x20, 4) => {
                let word = self.words.pop_front().expect("the data port is read without data in it");
                if self.words.is_empty() {
                    let next = if self.blocks.is_empty() { Event::Finish } else { Event::ReadBlock };
                    self.due.push_back((self.latency, next));
                }
                word
            }
            (0x24, 4) => self.inhibit,
            (0x2C, 2) => {
                let stable = if self.clocked && self.clock & 1 != 0 { 1 << 1 } else { 0 };
                u32::from(self.clock & !0b10 | stable)
            }
            (0x2F, 1) => 0,
            (0x30, 2) => self.normal_status().into(),
            (0x32, 2) => self.error.into(),
            (0x38, 2) => self.normal_signal.into(),
            _ => panic!("read of {width} bytes at {address:#x}"),
        }
    }

    fn write(&mut self, address: u32, width: u32, value: u32) {
        self.tick(1);
        if (address, width) == (WRAPPER, 4) {
            self.enabled = value >> 31 != 0;
            return;
        }
        assert!(self.enabled, "the block is not enabled");
        let half = value as u16;
        match (address.wrapping_sub(CORE), width) {
            (0x00, 4) => self.block_count_v4 = value,
            (0x04, 2) => self.block_size = half,
            (0x06, 2) => self.block_count = half,
            (0x08, 4) => self.argument = value,
            (0x0C, 2) => self.xfer_mode = half,
            (0x0E, 2) => self.start(half),
            (0x20, 4) => self.take_word(value),
            (0x28, 1) => self.host_ctrl1 = value as u8,
            (0x29, 1) => self.power = value as u8,
            (0x2C, 2) => {
                let divider_changes = (self.clock ^ half) & 0xFFC0 != 0;
                assert!(
                    !divider_changes || self.clock & 1 << 2 == 0,
                    "the divider changes under a running card clock"
                );
                self.clock = half;
            }
            (0x2E, 1) => self.timeout = value as u8,
            (0x2F, 1) => self.reset(value as u8),
            (0x30, 2) => self.normal &= !half,
            (0x32, 2) => self.error &= !half,
            (0x34, 2) => self.normal_enable = half,
            (0x36, 2) => self.error_enable = half,
            (0x38, 2) => self.normal_signal = half,
            (0x3A, 2) => self.error_signal = half,
            (0x3E, 2) => self.host_ctrl2 = half,
            (0x534, 4) => self.gp_out = value,
            _ => panic!("write of {width} bytes at {address:#x}"),
        }
    }

    fn reset(&mut self, lines: u8) {
        assert_eq!(lines & !0b110, 0, "only the command and data parts are reset here");
        self.resets += 1;
        self.inhibit = 0;
        self.stuck = false;
        self.due.clear();
        if lines & 0b100 != 0 {
            self.words.clear();
            self.blocks.clear();
            self.incoming.clear();
            self.incoming_left = 0;
        }
    }

    fn start(&mut self, command: u16) {
        assert_eq!(self.inhibit, 0, "a command while the last one is under way");
        assert_eq!(self.power, 0b1111, "no power at 3.3 V");
        assert_eq!(self.host_ctrl2, 1 << 12, "not in version 4 mode");
        assert_eq!(self.timeout, 0xE);
        assert_eq!((self.normal_enable, self.error_enable), (0x1FFF, 0x07FF), "reports are off");
        assert_eq!((self.normal, self.error), (0, 0), "an old report was left");
        let hz = self.card_hz().expect("no card clock");
        let four_bit = self.host_ctrl1 & 1 << 1 != 0;
        self.card.check_line(hz, self.host_ctrl1 & 1 << 2 != 0);

        let (index, argument) = ((command >> 8) as u8, self.argument);
        let at = self.log.len();
        self.log.push((index, argument));
        let fault = self.plan.as_mut().and_then(|plan| plan.take(at, index, argument));
        let has_data = command & 1 << 5 != 0;
        assert_eq!(has_data, index == 53, "CMD{index} with{} data", if has_data { "" } else { "out" });
        let expected = match index {
            0 => 0x00,
            5 => 0x02,
            7 => 0x1B,
            53 => 0x3A,
            _ => 0x1A,
        };
        assert_eq!(command & 0xFF, expected, "the answer of CMD{index} is described wrongly");
        self.inhibit = if has_data || index == 7 { 0b11 } else { 0b01 };
        self.data_error = None;

        let answer = match fault {
            Some(Fault::Silent) => return,
            Some(Fault::LinesBusy) => {
                self.stuck = true;
                return;
            }
            Some(fault) if !fault.is_of_data() && fault.error_bit().is_some() => None,
            Some(Fault::Refused) => Some(0x0800),
            _ => self.card.command(index, argument),
        };
        let error = fault.filter(|fault| !has_data || !fault.is_of_data()).and_then(Fault::error_bit);
        let Some(answer) = answer.filter(|_| error.is_none()) else {
            self.due.push_back((self.latency, Event::Error(error.unwrap_or(1))));
            return;
        };
        self.response = answer;
        self.due.push_back((self.latency, Event::Complete));
        if !has_data || answer >> 8 & 0xCB != 0 {
            return;
        }

        // A card and a controller that use different lines see nonsense.
        let wrong_width = four_bit != self.card.is_four_bit();
        self.data_error = fault.and_then(Fault::error_bit).or(wrong_width.then_some(1 << 5));
        let size = usize::from(self.block_size);
        let len = size * usize::from(self.block_count);
        assert_eq!(u32::from(self.block_count), self.block_count_v4, "the two block counts differ");
        assert_eq!(len, self.card.transfer_len(argument), "controller and card disagree about the length");
        assert_eq!(self.xfer_mode & 0b10, 0b10, "block count enable");
        assert_eq!(self.xfer_mode & 1 << 5 != 0, self.block_count > 1, "multi-block");
        let is_read = argument >> 31 == 0;
        assert_eq!(self.xfer_mode & 1 << 4 != 0, is_read, "direction");
        if is_read {
            let data = self.card.read(argument);
            self.blocks = data.chunks(size).map(<[u8]>::to_vec).collect();
            self.due.push_back((self.latency, Event::ReadBlock));
        } else {
            self.incoming_left = self.block_count.into();
            self.due.push_back((self.latency, Event::WriteRoom));
        }
    }

    fn take_word(&mut self, word: u32) {
        assert!(
            self.incoming_left > 0 && self.words.front() == Some(&0),
            "the data port is written without room"
        );
        self.words.pop_front();
        let size = usize::from(self.block_size);
        let left = size - self.incoming.len() % size;
        self.incoming.extend_from_slice(&word.to_le_bytes()[..left.min(4)]);
        if self.words.is_empty() {
            self.incoming_left -= 1;
            let next = if self.incoming_left == 0 { Event::Finish } else { Event::WriteRoom };
            self.due.push_back((self.latency, next));
        }
    }

    /// `count` accesses, or as much time.
    fn tick(&mut self, count: u32) {
        if self.stuck {
            return;
        }
        for _ in 0..count.min(self.latency + 1) {
            match self.due.front_mut() {
                None => return,
                Some((0, _)) => {
                    let (_, event) = self.due.pop_front().expect("it is there");
                    self.happen(event);
                }
                Some((left, _)) => *left -= 1,
            }
        }
    }

    fn happen(&mut self, event: Event) {
        let words = usize::from(self.block_size).div_ceil(4);
        match event {
            Event::Complete => {
                self.inhibit &= !0b01;
                self.normal |= CMD_COMPLETE;
                if self.inhibit != 0 && self.xfer_mode == 0 {
                    self.due.push_back((self.latency, Event::Finish));
                }
            }
            Event::Error(bits) => self.error |= bits & self.error_enable,
            Event::ReadBlock => match self.data_error {
                Some(bits) => self.error |= bits,
                None => {
                    let block = self.blocks.pop_front().expect("a block is due");
                    self.words = block.chunks(4).map(word).collect();
                    self.normal |= READ_READY;
                }
            },
            Event::WriteRoom => {
                self.words = std::iter::repeat_n(0, words).collect();
                self.normal |= WRITE_READY;
            }
            Event::Finish => match self.data_error {
                Some(bits) => self.error |= bits,
                None => {
                    if self.log.last().is_some_and(|(index, argument)| *index == 53 && argument >> 31 != 0) {
                        let data = std::mem::take(&mut self.incoming);
                        self.card.write(self.argument, &data);
                    }
                    self.inhibit = 0;
                    self.normal |= XFER_COMPLETE;
                }
            },
        }
    }
}

fn word(bytes: &[u8]) -> u32 {
    let mut word = [0; 4];
    word[..bytes.len()].copy_from_slice(bytes);
    u32::from_le_bytes(word)
}
