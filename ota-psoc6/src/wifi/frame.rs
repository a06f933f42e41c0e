//! Frames between driver and chip, as far as `cyw43` 0.7.0 would fall over them.
//!
//! A frame is its length, the complement of that (together the tag), and the rest: of that at 1 the channel in the low four bits, at 3
//! the length of the header with the tag. Behind the header a request or its answer (channel 0), an event (1) or a packet
//! (2).

/// The longest frame the driver has room for.
const FRAME_MAX: u16 = 2048;
/// The longest packet.
const PACKET_MAX: usize = 1514;
const TAG_LEN: usize = 4;
const HEADER_MIN: usize = 12;
/// Of the rest of a frame.
const CHANNEL: usize = 1;
const HEADER_LEN: usize = 3;
/// Channels. The driver ignores those it does not know.
const CONTROL: u8 = 0;
const EVENT: u8 = 1;
const PACKET: u8 = 2;
const IGNORED: u8 = 0xF;

/// Behind the header of an event or packet: four bytes, the last of them words to skip, and of an event then its number.
const SKIP: usize = 3;
const PREFIX_LEN: usize = 4;
const EVENT_NUMBER: usize = 31;

/// Whether the driver has a name for an event. Without one it takes 255 for the number, and that for an index into six words.
const fn is_known_event(number: u8) -> bool {
    matches!(number, 0..=91 | 93..=109 | 111..=128 | 130..=141 | 146 | 151 | 187..=190)
}

/// What a tag says.
pub(super) enum Tag {
    /// No frame is there.
    None,
    /// Bytes of a frame behind its tag.
    Rest(usize),
    /// More than the driver has room for.
    TooLong,
}

impl Tag {
    /// Reads a tag, and rounds a frame's length up to a whole word where the driver would panic.
    ///
    /// It takes a buffer's size for its length, and a buffer that is aligned to words is up to three bytes larger. Where
    /// the rest of a frame ends one to three bytes before a block does, it slices that many bytes too far. The chip pads what is
    /// read past a frame with zeros, and no protocol above minds bytes after its end.
    pub(super) fn read(tag: &mut [u8]) -> Self {
        let [a, b, c, d] = tag else { return Self::None };
        let len = u16::from_le_bytes([*a, *b]);
        if len ^ u16::from_le_bytes([*c, *d]) != 0xFFFF || usize::from(len) < TAG_LEN {
            return Self::None;
        }
        if len > FRAME_MAX {
            return Self::TooLong;
        }
        let rest = usize::from(len) - TAG_LEN;
        if rest % 64 <= 60 {
            return Self::Rest(rest);
        }
        let padded = len.next_multiple_of(4);
        [*a, *b] = padded.to_le_bytes();
        [*c, *d] = (!padded).to_le_bytes();
        Self::Rest(usize::from(padded) - TAG_LEN)
    }
}

/// What is remembered of a request: the driver makes one at a time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request {
    number: [u8; 2],
    /// Bytes of data: the driver has room for as many in the answer.
    len: u32,
    /// It asserts that the answer has so many.
    answer_min: u32,
    /// It asks what became of the regulatory data, and asserts that the answer is zero.
    is_regulatory: bool,
}

impl Request {
    /// The request in a frame's first part, tag included.
    pub(super) fn of(frame: &[u8]) -> Option<Self> {
        let header_len = usize::from(*frame.get(TAG_LEN + HEADER_LEN)?);
        let (head, data) = frame.get(header_len..)?.split_first_chunk::<{ request::LEN }>()?;
        if frame[TAG_LEN + CHANNEL] & 0xF != CONTROL {
            return None;
        }
        let asks = |name| head.starts_with(&request::GET_VARIABLE.to_le_bytes()) && data.starts_with(name);
        let is_regulatory = asks(request::REGULATORY_STATUS);
        let answer_min = match asks(request::ADDRESS) {
            true => request::ADDRESS_LEN,
            false if is_regulatory => request::STATUS_LEN,
            false => 0,
        };
        let (number, len) = (request::number(head), request::data_len(head));
        Some(Self { number, len, answer_min, is_regulatory })
    }
}

/// Fields of a request and of its answer.
mod request {
    pub(super) const LEN: usize = 16;
    pub(super) const STATUS: usize = 12;
    pub(super) const GET_VARIABLE: u32 = 262;
    pub(super) const REGULATORY_STATUS: &[u8] = b"clmload_status\0";
    pub(super) const STATUS_LEN: u32 = 4;
    pub(super) const ADDRESS: &[u8] = b"cur_etheraddr\0";
    pub(super) const ADDRESS_LEN: u32 = 6;

    pub(super) fn data_len(head: &[u8; LEN]) -> u32 {
        u32::from_le_bytes([head[4], head[5], head[6], head[7]])
    }

    pub(super) fn number(head: &[u8; LEN]) -> [u8; 2] {
        [head[10], head[11]]
    }
}

/// The first part of a frame's rest, which has `len` bytes in all.
pub(super) struct Rest<'f> {
    part: &'f mut [u8],
    len: usize,
}

impl<'f> Rest<'f> {
    pub(super) fn new(part: &'f mut [u8], len: usize) -> Self {
        Self { part, len }
    }

    /// Whether the driver gets over this frame. It slices by lengths that are in the frame, and asserts that headers are aligned.
    pub(super) fn is_sound(&self, request: Option<Request>) -> bool {
        let Some(header_len) = self.part.get(HEADER_LEN).map(|len| usize::from(*len)) else {
            // Too short for anything; the driver sees that.
            return true;
        };
        if header_len < HEADER_MIN || !header_len.is_multiple_of(2) || header_len - TAG_LEN > self.len {
            return false;
        }
        let at = header_len - TAG_LEN;
        let payload_len = self.len - at;
        match self.part[CHANNEL] & 0xF {
            CONTROL if payload_len >= request::LEN => {
                let Some(head) = self.part.get(at..).and_then(<[u8]>::first_chunk) else { return false };
                let data_len = request::data_len(head);
                let room = request.filter(|request| request.number == request::number(head));
                let fits = |it: Request| {
                    // A refusal needs no data where it is the answer.
                    let is_refusal = it.is_regulatory && head[request::STATUS..] != [0; 4];
                    data_len <= it.len && (data_len >= it.answer_min || is_refusal)
                };
                data_len as usize <= payload_len - request::LEN && room.is_none_or(fits)
            }
            channel @ (EVENT | PACKET) if payload_len >= PREFIX_LEN => {
                let Some(skip) = self.part.get(at + SKIP) else { return false };
                let data = at + PREFIX_LEN + 4 * usize::from(*skip);
                match channel {
                    EVENT => match self.part.get(data + EVENT_NUMBER) {
                        Some(number) => is_known_event(*number),
                        // Not an event; or one of which too little is here to know.
                        None => data + EVENT_NUMBER >= self.len,
                    },
                    _ => self.len.saturating_sub(data) <= PACKET_MAX,
                }
            }
            _ => true,
        }
    }

    /// Lets the driver ignore it.
    pub(super) fn ignore(&mut self) {
        self.part[CHANNEL] |= IGNORED;
        self.part[HEADER_LEN] = HEADER_MIN as u8;
    }

    /// The chip's answer to a request, in a sound frame.
    pub(super) fn answer(self) -> Option<Answer<'f>> {
        let at = usize::from(*self.part.get(HEADER_LEN)?).checked_sub(TAG_LEN)?;
        if self.part[CHANNEL] & 0xF != CONTROL {
            return None;
        }
        let (head, data) = self.part.get_mut(at..)?.split_first_chunk_mut()?;
        Some(Answer { head, data })
    }
}

/// The chip's answer to a request.
pub(super) struct Answer<'f> {
    head: &'f mut [u8; request::LEN],
    data: &'f [u8],
}

impl Answer<'_> {
    /// Takes the refusal out of it, for the driver would panic.
    pub(super) fn take_refusal(&mut self) -> Option<i32> {
        let status = i32::from_le_bytes(*self.head.last_chunk()?);
        self.head[request::STATUS..].fill(0);
        (status != 0).then_some(status)
    }

    /// Whether it answers the question for the regulatory data.
    pub(super) fn is_regulatory(&self, request: Option<Request>) -> bool {
        request.is_some_and(|it| it.is_regulatory && it.number == request::number(self.head))
    }

    /// The first word of the data.
    pub(super) fn value(&self) -> Option<i32> {
        self.data.first_chunk().map(|word| i32::from_le_bytes(*word))
    }
}
