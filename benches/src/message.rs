//! Data blocks as AWS IoT sends them in answer to a GetStream request, made without the library under test.

use std::ops::Range;

/// One message, as an MQTT client would hold it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The whole CBOR payload of the publish.
    pub bytes: Vec<u8>,
    /// Where the block's own bytes lie in it: 17 to 22 bytes in, so hardly ever aligned to a word.
    pub payload: Range<usize>,
}

impl Message {
    /// The block with these numbers: a map of indefinite length with the keys `f`, `i`, `l`, `p` in this order, each
    /// integer as short as CBOR allows. This is what the service was seen to send.
    pub fn new(file_id: u32, block_id: u32, block: &[u8]) -> Self {
        let len = u32::try_from(block.len()).expect("a block is at most 128 KiB");
        let mut bytes = Vec::with_capacity(block.len() + 32);
        bytes.push(0xbf);
        for (key, value) in [(b'f', file_id), (b'i', block_id), (b'l', len)] {
            bytes.extend([TEXT | 1, key]);
            head(&mut bytes, UNSIGNED, value);
        }
        bytes.extend([TEXT | 1, b'p']);
        head(&mut bytes, BYTES, len);
        let start = bytes.len();
        bytes.extend_from_slice(block);
        let payload = start..bytes.len();
        bytes.push(0xff);
        Self { bytes, payload }
    }

    /// The block's own bytes.
    pub fn block(&self) -> &[u8] {
        &self.bytes[self.payload.clone()]
    }
}

/// Major types of CBOR (RFC 8949, section 3.1), in the upper three bits.
const UNSIGNED: u8 = 0 << 5;
const BYTES: u8 = 2 << 5;
const TEXT: u8 = 3 << 5;

/// MCUboot `docs/design.md`, "Image format".
const MAGIC: u32 = 0x96f3_b83d;
const HEADER_SIZE: u16 = 0x20;
/// Room for TLVs at the image's end.
const TLV_SIZE: u32 = 256;

fn head(out: &mut Vec<u8>, major: u8, value: u32) {
    match value {
        0..=23 => out.push(major | value as u8),
        24..=0xff => out.extend([major | 24, value as u8]),
        0x100..=0xffff => {
            out.push(major | 25);
            out.extend((value as u16).to_be_bytes());
        }
        0x1_0000.. => {
            out.push(major | 26);
            out.extend(value.to_be_bytes());
        }
    }
}

/// An MCUboot image of version 1.0.0 as far as a device judges one before it verifies it: a header, then bytes that look
/// like code to a cache and to a hash, the same ones on every run.
pub fn image(size: u32) -> Vec<u8> {
    let mut image = vec![0; HEADER_SIZE as usize];
    image[..4].copy_from_slice(&MAGIC.to_le_bytes());
    image[8..10].copy_from_slice(&HEADER_SIZE.to_le_bytes());
    image[12..16].copy_from_slice(&(size - u32::from(HEADER_SIZE) - TLV_SIZE).to_le_bytes());
    image[20] = 1;
    let mut state = 0x9e37_79b9_u32;
    image.extend((u32::from(HEADER_SIZE)..size).map(|_| {
        // xorshift32
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state as u8
    }));
    image
}

/// `image` as messages of file 0, each in a buffer of its own, as they come out of a receive buffer: the source of one
/// block is never the neighbour of the next.
pub fn messages(image: &[u8], block_size: u32) -> Vec<Message> {
    (0..).zip(image.chunks(block_size as usize)).map(|(id, block)| Message::new(0, id, block)).collect()
}

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256};

    use super::*;

    fn pattern(block_id: u32, len: usize) -> Vec<u8> {
        (0..len).map(|at| (7 * at + block_id as usize) as u8).collect()
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn a_small_block_has_the_bytes_the_service_sends() {
        let block: Vec<u8> = (0..16).collect();
        let message = Message::new(0, 2, &block);
        assert_eq!(hex(&message.bytes), "bf616600616902616c10617050000102030405060708090a0b0c0d0e0fff");
        assert_eq!(message.block(), block);
    }

    #[test]
    fn large_numbers_take_the_shortest_form() {
        let message = Message::new(0, 9, &pattern(9, 784));
        assert_eq!(message.bytes.len(), 802);
        assert_eq!(
            hex(&Sha256::digest(&message.bytes)),
            "58687358a6a954d31f72386086560182fc48fcc8d816e3e66224dcaf66ff2a3b"
        );
        let message = Message::new(0, 300, &pattern(300, 4096));
        assert_eq!(message.bytes.len(), 4116);
        assert_eq!(message.payload.start, 19);
        assert_eq!(
            hex(&Sha256::digest(&message.bytes)),
            "344d792907173da40bc307ef679174516ddac0d153c215ffdc1e300698186610"
        );
    }

    #[test]
    fn the_messages_hold_the_image() {
        let image = image(crate::IMAGE_SIZE);
        for block_size in crate::BLOCK_SIZES {
            let messages = messages(&image, block_size);
            assert!(messages.iter().all(|message| message.block().len() == block_size as usize));
            let joined: Vec<u8> = messages.iter().flat_map(|message| message.block().to_vec()).collect();
            assert_eq!(joined, image);
        }
    }
}
