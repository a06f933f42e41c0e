//! TAR bundles: several images in one file, as the Cypress OTA library packs them.
//!
//! Plain `ustar` records of 512 bytes (POSIX.1-1988; GNU tar manual, "Basic Tar Format"). The first member is
//! `components.json`; it lists the members that follow, what each is for and how long it is. All values are strings:
//!
//! ```json
//! {"numberOfComponents":"2","version":"1.2.3","files":[
//!   {"fileName":"components.json","fileType":"component_list"},
//!   {"fileName":"app.bin","fileType":"NSPE","fileSize":"123456"}]}
//! ```
//!
//! `numberOfComponents` counts the list itself. Members may follow in any order. POSIX and GNU magic are read, GNU is
//! written.

use core::fmt;

use super::field::{Shape, find, none};
use super::json::{Text, Value, number_u32};
use super::topic::Format;
use super::writer::{EncodeError, Writer};

/// Bytes of a record: headers are one, payloads are padded to whole ones.
pub const RECORD_SIZE: u32 = 512;
/// Name of the first member.
pub const LIST_NAME: &str = "components.json";
/// `fileType` of the first member.
pub const LIST_TYPE: &str = "component_list";
/// `fileType` of the application, on a PSoC 64 of the CM4.
pub const NSPE: &str = "NSPE";
/// `fileType` of the secure side, on a PSoC 64 of the CM0+.
pub const SPE: &str = "SPE";
/// Most entries of the list, itself included.
pub const MAX_FILES: usize = 8;
/// Longest `fileType` and `version`: 16 bytes with their end, in the vendor's parser.
pub const MAX_TEXT_SIZE: usize = 15;
/// Longest `fileName`: 100 bytes with its end.
pub const MAX_NAME_SIZE: usize = 99;
/// Longest list with its padding, bytes.
pub const MAX_LIST_SIZE: u32 = 1024;

const RECORD_LEN: usize = RECORD_SIZE as usize;

/// Where the fields of a header lie (`struct posix_header`).
mod field {
    use core::ops::Range;
    pub(super) const NAME: Range<usize> = 0..100;
    pub(super) const MODE: Range<usize> = 100..108;
    pub(super) const UID: Range<usize> = 108..116;
    pub(super) const GID: Range<usize> = 116..124;
    pub(super) const SIZE: Range<usize> = 124..136;
    pub(super) const MTIME: Range<usize> = 136..148;
    pub(super) const CHECKSUM: Range<usize> = 148..156;
    pub(super) const TYPE: usize = 156;
    pub(super) const USTAR: Range<usize> = 257..262;
    pub(super) const MAGIC: Range<usize> = 257..265;
    /// POSIX only; GNU keeps times there.
    pub(super) const PREFIX: usize = 345;
}

const POSIX_MAGIC: &[u8] = b"ustar\x0000";
const GNU_MAGIC: &[u8] = b"ustar  \0";
/// `REGTYPE`, and `AREGTYPE` of old writers.
const REGULAR: [u8; 2] = [b'0', 0];

/// Why bytes are no bundle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TarError {
    /// The bytes end too early.
    Truncated,
    /// Not `ustar`.
    Magic,
    /// The header's checksum is wrong.
    Checksum,
    /// Not a regular file, or a name that is empty, too long or not UTF-8.
    Member,
    /// A number that is not octal, or does not fit 32 bits.
    Number,
    /// The first member is not `components.json`, or longer than [`MAX_LIST_SIZE`].
    List,
    /// `components.json` is no JSON, or a member of it is missing, of the wrong type or out of bounds.
    Json,
    /// Name or size of a member are not those of its entry in the list.
    Mismatch,
}

impl fmt::Display for TarError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Truncated => "the bundle ends too early: pack it again",
            Self::Magic => "not a ustar archive: pack it with `ota bundle` or `tar --format=gnu`",
            Self::Checksum => "a TAR header is damaged: pack the bundle again",
            Self::Member => "a bundle holds regular files with names of 1 to 99 bytes only",
            Self::Number => "a number in a TAR header is not octal or too large",
            Self::List => "the first member must be components.json, of 1024 bytes at most",
            Self::Json => "components.json is malformed: all values are strings, at most 8 files",
            Self::Mismatch => "name or size of a member differ from components.json: pack the bundle again",
        })
    }
}

impl core::error::Error for TarError {}

/// Whether a file that starts with these bytes is an archive: `ustar` stands in its first record.
pub fn is_tar(file: &[u8]) -> bool {
    file.get(field::USTAR) == Some(b"ustar")
}

/// `size` bytes with their padding to whole records.
pub const fn padded(size: u32) -> Option<u32> {
    size.checked_next_multiple_of(RECORD_SIZE)
}

/// The header of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header<'a> {
    /// The member's name.
    pub name: &'a str,
    /// Bytes of its payload.
    pub size: u32,
}

impl<'a> Header<'a> {
    /// Reads the record at the start of `bytes`.
    ///
    /// # Errors
    /// [`TarError::Truncated`], [`TarError::Magic`], [`TarError::Checksum`], [`TarError::Member`], [`TarError::Number`].
    pub fn parse(bytes: &'a [u8]) -> Result<Self, TarError> {
        let record: &[u8; RECORD_LEN] = bytes.first_chunk().ok_or(TarError::Truncated)?;
        let posix = record[field::MAGIC] == *POSIX_MAGIC;
        if !posix && record[field::MAGIC] != *GNU_MAGIC {
            return Err(TarError::Magic);
        }
        if octal(&record[field::CHECKSUM]) != Some(checksum(record)) {
            return Err(TarError::Checksum);
        }
        // A POSIX prefix would lengthen the name.
        if !REGULAR.contains(&record[field::TYPE]) || posix && record[field::PREFIX] != 0 {
            return Err(TarError::Member);
        }
        let name = record[field::NAME].split(|byte| *byte == 0).next().unwrap_or(&[]);
        let name = core::str::from_utf8(name).map_err(|_| TarError::Member)?;
        if !(1..=MAX_NAME_SIZE).contains(&name.len()) {
            return Err(TarError::Member);
        }
        let size = octal(&record[field::SIZE]).ok_or(TarError::Number)?;
        Ok(Self { name, size })
    }

    /// The record: mode 0644, owner 0, time 0, GNU magic.
    ///
    /// # Errors
    /// [`EncodeError::OutOfRange`]: the name is empty or too long.
    pub fn encode(&self) -> Result<[u8; RECORD_LEN], EncodeError> {
        let mut record = [0; RECORD_LEN];
        if !(1..=MAX_NAME_SIZE).contains(&self.name.len()) {
            return Err(EncodeError::OutOfRange);
        }
        for (place, byte) in record.iter_mut().zip(self.name.bytes()) {
            *place = byte;
        }
        let fields = [(field::MODE, 0o644), (field::UID, 0), (field::GID, 0), (field::MTIME, 0)];
        for (place, number) in fields.into_iter().chain([(field::SIZE, self.size)]) {
            put_octal(&mut record, place, number);
        }
        record[field::TYPE] = REGULAR[0];
        record[field::MAGIC].copy_from_slice(GNU_MAGIC);
        let sum = checksum(&record);
        // Six digits, NUL and the blank that was there when it was summed.
        put_octal(&mut record, field::CHECKSUM.start..field::CHECKSUM.end - 1, sum);
        record[field::CHECKSUM.end - 1] = b' ';
        Ok(record)
    }
}

/// The sum of all bytes, those of the checksum itself taken as blanks.
fn checksum(record: &[u8; RECORD_LEN]) -> u32 {
    let byte = |(at, byte): (usize, &u8)| if field::CHECKSUM.contains(&at) { b' ' } else { *byte };
    record.iter().enumerate().map(byte).map(u32::from).sum()
}

/// Octal digits between blanks and NULs.
fn octal(field: &[u8]) -> Option<u32> {
    let digits = field.trim_ascii_start().split(|byte| matches!(byte, 0 | b' ')).next()?;
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0u32, |number, digit| {
        let digit = matches!(digit, b'0'..=b'7').then(|| u32::from(*digit - b'0'))?;
        number.checked_mul(8)?.checked_add(digit)
    })
}

/// Octal digits with leading zeros and a NUL behind them.
fn put_octal(record: &mut [u8; RECORD_LEN], place: core::ops::Range<usize>, number: u32) {
    let mut rest = number;
    if let Some((_end, digits)) = record.get_mut(place).and_then(<[u8]>::split_last_mut) {
        for digit in digits.iter_mut().rev() {
            *digit = b'0' + (rest & 7) as u8;
            rest >>= 3;
        }
    }
}

/// One entry of the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Component<'a> {
    /// `fileName`: the member's name.
    pub name: Text<'a>,
    /// `fileType`: what it is for.
    pub kind: Text<'a>,
    /// `fileSize`; `None` at the list's own entry, which may leave it out.
    pub size: Option<u32>,
}

impl Component<'_> {
    /// The entry of the list itself.
    pub fn is_list(&self) -> bool {
        self.kind.is(LIST_TYPE)
    }
}

/// `components.json`, checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Components<'a> {
    /// `version`: of the bundle, for people.
    pub version: Text<'a>,
    files: Value<'a>,
}

impl<'a> Components<'a> {
    /// Reads the list.
    ///
    /// # Errors
    /// [`TarError::Json`].
    pub fn parse(text: &'a [u8]) -> Result<Self, TarError> {
        Self::read(text).ok_or(TarError::Json)
    }

    fn read(text: &'a [u8]) -> Option<Self> {
        let mut found = none();
        let shape = &Shape { names: "numberOfComponents version files", types: "\"\"[", required: 0 };
        find(Format::Json, text, shape, &mut found).ok()?;
        let [count, version, files, ..] = found.map(|field| field.bytes());
        let (version, files) = (Text::new(version?), Value::new(files?));
        if version.bytes().count() > MAX_TEXT_SIZE {
            return None;
        }
        let mut lists = 0;
        let mut length = 0u32;
        for entry in files.elements()? {
            let component = component(entry)?;
            let same = files.elements()?.take(length as usize).filter_map(component_name);
            if same.into_iter().any(|name| name.bytes().eq(component.name.bytes())) {
                return None;
            }
            lists += u32::from(component.is_list());
            length += 1;
            if length as usize > MAX_FILES || !component.is_list() && component.size.is_none() {
                return None;
            }
        }
        let all_told = number_u32(count?, 10)? == length && lists == 1;
        all_told.then_some(Self { version, files })
    }

    /// The entries but for the list's own, in their order.
    pub fn members(&self) -> impl Iterator<Item = Component<'a>> + use<'a> {
        let entries = self.files.elements().into_iter().flatten();
        entries.filter_map(component).filter(|component| !component.is_list())
    }

    /// The entry of a member, by the name in its header.
    ///
    /// # Errors
    /// [`TarError::Mismatch`]: there is none, or it has another size.
    pub fn entry(&self, header: &Header<'_>) -> Result<Component<'a>, TarError> {
        let fits = |entry: &Component<'_>| entry.name.is(header.name) && entry.size == Some(header.size);
        self.members().find(fits).ok_or(TarError::Mismatch)
    }
}

fn component_name(entry: Value<'_>) -> Option<Text<'_>> {
    component(entry).map(|component| component.name)
}

fn component(entry: Value<'_>) -> Option<Component<'_>> {
    let mut found = none();
    let shape = &Shape { names: "fileName fileType fileSize", types: "\"\"\"", required: 0 };
    find(Format::Json, entry.bytes(), shape, &mut found).ok()?;
    let [name, kind, size, ..] = found.map(|field| field.bytes());
    let (name, kind) = (Text::new(name?), Text::new(kind?));
    let bounded = |text: Text<'_>, most| (1..=most).contains(&text.bytes().count());
    if !bounded(name, MAX_NAME_SIZE) || !bounded(kind, MAX_TEXT_SIZE) {
        return None;
    }
    let size = match size {
        Some(size) => Some(number_u32(size, 10)?),
        None => None,
    };
    Some(Component { name, kind, size })
}

/// Everything in front of the first payload that is not the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head<'a> {
    /// The list.
    pub components: Components<'a>,
    /// The first member behind the list; it is in the list, with this size.
    pub first: Header<'a>,
    /// Where its payload starts in the file.
    pub payload_at: u32,
}

impl<'a> Head<'a> {
    /// Reads the head of a bundle from the first bytes of the file: 2048 always suffice.
    ///
    /// # Errors
    /// [`TarError::Truncated`] when the head does not lie in `file` whole; else what is wrong with it.
    pub fn parse(file: &'a [u8]) -> Result<Self, TarError> {
        let list = Header::parse(file)?;
        let space = padded(list.size).filter(|space| *space <= MAX_LIST_SIZE);
        let (true, Some(space)) = (list.name == LIST_NAME, space) else { return Err(TarError::List) };
        let behind = |at: u32| file.get(at as usize..).ok_or(TarError::Truncated);
        let text = behind(RECORD_SIZE)?.get(..list.size as usize).ok_or(TarError::Truncated)?;
        let components = Components::parse(text)?;
        let header_at = RECORD_SIZE + space;
        let first = Header::parse(behind(header_at)?)?;
        components.entry(&first)?;
        Ok(Self { components, first, payload_at: header_at + RECORD_SIZE })
    }
}

/// Writes `components.json` for members of these names, types and sizes; returns its length.
///
/// # Errors
/// [`EncodeError::BufferTooSmall`], also when it would not fit [`MAX_LIST_SIZE`]; [`EncodeError::OutOfRange`] for a text that
/// is too long or holds anything but printable ASCII without quotes and backslashes, and for too many members.
pub fn encode_components(
    buf: &mut [u8],
    version: &str,
    members: &[(&str, &str, u32)],
) -> Result<usize, EncodeError> {
    let plain = |text: &str, most: usize| {
        let fits = |byte: u8| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\';
        (1..=most).contains(&text.len()) && text.bytes().all(fits)
    };
    let fits = |member: &(&str, &str, u32)| plain(member.0, MAX_NAME_SIZE) && plain(member.1, MAX_TEXT_SIZE);
    if members.len() >= MAX_FILES || !plain(version, MAX_TEXT_SIZE) || !members.iter().all(fits) {
        return Err(EncodeError::OutOfRange);
    }
    let most = buf.len().min(MAX_LIST_SIZE as usize);
    let mut writer = Writer::new(buf.get_mut(..most).unwrap_or(&mut []));
    writer.str(r#"{"numberOfComponents":""#);
    writer.decimal(members.len() as u32 + 1);
    for text in [r#"","version":""#, version, r#"","files":[{"fileName":""#, LIST_NAME] {
        writer.str(text);
    }
    for text in [r#"","fileType":""#, LIST_TYPE, r#""}"#] {
        writer.str(text);
    }
    for (name, kind, size) in members {
        for text in [r#",{"fileName":""#, name, r#"","fileType":""#, kind, r#"","fileSize":""#] {
            writer.str(text);
        }
        writer.decimal(*size);
        writer.str(r#""}"#);
    }
    writer.str("]}");
    writer.finish()
}
