//! Frames as the chip's firmware makes them: SDPCM around ioctl answers, events and Ethernet.

const CONTROL: u8 = 0;
const EVENT: u8 = 1;
const DATA: u8 = 2;

fn sdpcm(channel: u8, payload: &[u8]) -> Vec<u8> {
    let len = (12 + payload.len()) as u16;
    let mut frame = Vec::new();
    frame.extend(len.to_le_bytes());
    frame.extend((!len).to_le_bytes());
    // Sequence, channel, next length, header length, flow control, credit, reserved.
    frame.extend([0, channel, 0, 12, 0, 200, 0, 0]);
    frame.extend_from_slice(payload);
    frame
}

/// A received Ethernet frame.
pub(crate) fn ethernet(packet: &[u8]) -> Vec<u8> {
    let mut payload = vec![0x20, 0, 0, 0];
    payload.extend_from_slice(packet);
    sdpcm(DATA, &payload)
}

/// An event of the firmware.
pub(crate) fn event(event: u32, status: u32, reason: u32) -> Vec<u8> {
    let mut payload = vec![0x20, 0, 0, 0];
    payload.extend([0; 12]);
    payload.extend(0x886C_u16.to_be_bytes());
    payload.extend(0x8001_u16.to_be_bytes());
    payload.extend(0_u16.to_be_bytes());
    payload.push(0);
    payload.extend([0x00, 0x10, 0x18]);
    payload.extend(1_u16.to_be_bytes());
    payload.extend(2_u16.to_be_bytes());
    payload.extend(0_u16.to_be_bytes());
    for value in [event, status, reason, 0, 0] {
        payload.extend(value.to_be_bytes());
    }
    payload.extend([0; 6 + 16 + 2]);
    sdpcm(EVENT, &payload)
}

/// What the host asked for: the ioctl's number and its data.
pub(crate) fn request(frame: &[u8]) -> Option<(u32, &[u8])> {
    let header_len = usize::from(frame[7]);
    (frame[5] & 0xF == CONTROL).then(|| {
        let cdc = &frame[header_len..];
        let number = u32::from_le_bytes(cdc[..4].try_into().unwrap());
        (number, &cdc[16..])
    })
}

/// The answer to a request: its own header with a status, and zeros for data.
pub(crate) fn answer(frame: &[u8], status: i32) -> Vec<u8> {
    let header_len = usize::from(frame[7]);
    let mut cdc = frame[header_len..].to_vec();
    cdc[12..16].copy_from_slice(&status.to_le_bytes());
    cdc[16..].fill(0);
    sdpcm(CONTROL, &cdc)
}
