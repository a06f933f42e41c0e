//! What a factory writes into a device: who it is, whom it trusts, where the cloud is. Here the host writes it into the last
//! 64 KiB of the flash, so that keys and ports need no other image.
//!
//! Fields of two bytes tag, two bytes length and the value, all little-endian, behind a magic; a length of 0xFFFF ends them.
//! On a device private keys belong into a secure element and the image key into the bootloader.

use core::net::Ipv4Addr;

use crate::Part;

const MAGIC: [u8; 4] = *b"OTAe";

/// Where a server listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// As the device sees it: 10.0.2.2 is the host's loopback.
    pub address: Ipv4Addr,
    /// TCP port.
    pub port: u16,
}

/// Everything a device is told once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings<'a> {
    /// The flash part of this board.
    pub part: &'static Part,
    /// Thing name.
    pub thing: &'a str,
    /// The broker; the file server is at the same address.
    pub broker: Endpoint,
    /// Host name the servers' certificates must be valid for.
    pub server_name: &'a str,
    /// The root certificate, DER.
    pub root: &'a [u8],
    /// The device's certificate, DER.
    pub certificate: &'a [u8],
    /// The device's private key: the P-256 scalar, 32 bytes.
    pub device_key: &'a [u8],
    /// Public key jobs are signed with, DER.
    pub job_key: &'a [u8],
    /// Public key images are signed with, DER: the bootloader's.
    pub image_key: &'a [u8],
}

/// Tags of the fields.
mod tag {
    pub(super) const PART: u16 = 1;
    pub(super) const THING: u16 = 2;
    pub(super) const BROKER: u16 = 3;
    pub(super) const SERVER_NAME: u16 = 4;
    pub(super) const ROOT: u16 = 5;
    pub(super) const CERTIFICATE: u16 = 6;
    pub(super) const DEVICE_KEY: u16 = 7;
    pub(super) const JOB_KEY: u16 = 8;
    pub(super) const IMAGE_KEY: u16 = 9;
    pub(super) const END: u16 = 0xFFFF;
}

impl<'a> Settings<'a> {
    /// Reads the settings; `None` if something is missing or makes no sense.
    pub fn decode(bytes: &'a [u8]) -> Option<Self> {
        let mut rest = bytes.strip_prefix(&MAGIC)?;
        let mut fields: [&[u8]; 10] = [&[]; 10];
        loop {
            let (head, tail) = rest.split_first_chunk::<4>()?;
            let (tag, length) =
                (u16::from_le_bytes([head[0], head[1]]), u16::from_le_bytes([head[2], head[3]]));
            if tag == tag::END {
                break;
            }
            let (value, tail) = tail.split_at_checked(length.into())?;
            *fields.get_mut(usize::from(tag))? = value;
            rest = tail;
        }
        let field = |tag: u16| fields.get(usize::from(tag)).copied().filter(|value| !value.is_empty());
        let text = |tag| field(tag).and_then(|value| core::str::from_utf8(value).ok());
        let [a, b, c, d, low, high] = *field(tag::BROKER)? else { return None };
        let broker = Endpoint { address: Ipv4Addr::new(a, b, c, d), port: u16::from_le_bytes([low, high]) };
        Some(Self {
            part: Part::named(text(tag::PART)?)?,
            thing: text(tag::THING)?,
            broker,
            server_name: text(tag::SERVER_NAME)?,
            root: field(tag::ROOT)?,
            certificate: field(tag::CERTIFICATE)?,
            device_key: field(tag::DEVICE_KEY)?,
            job_key: field(tag::JOB_KEY)?,
            image_key: field(tag::IMAGE_KEY)?,
        })
    }

    /// Hands the bytes that [`decode`](Self::decode) reads to `write`, in order.
    pub fn encode(&self, mut write: impl FnMut(&[u8])) {
        let [low, high] = self.broker.port.to_le_bytes();
        let [a, b, c, d] = self.broker.address.octets();
        let broker = [a, b, c, d, low, high];
        let fields: [(u16, &[u8]); 9] = [
            (tag::PART, self.part.name.as_bytes()),
            (tag::THING, self.thing.as_bytes()),
            (tag::BROKER, &broker),
            (tag::SERVER_NAME, self.server_name.as_bytes()),
            (tag::ROOT, self.root),
            (tag::CERTIFICATE, self.certificate),
            (tag::DEVICE_KEY, self.device_key),
            (tag::JOB_KEY, self.job_key),
            (tag::IMAGE_KEY, self.image_key),
        ];
        write(&MAGIC);
        for (tag, value) in fields {
            write(&tag.to_le_bytes());
            write(&(value.len() as u16).to_le_bytes());
            write(value);
        }
        write(&tag::END.to_le_bytes());
        write(&[0; 2]);
    }
}
