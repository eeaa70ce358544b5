//! The frames of a WebSocket (<https://www.rfc-editor.org/rfc/rfc6455#section-5.2>).

use std::io::{self, Read, Write};

/// A frame, without its mask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    pub opcode: u8,
    pub is_last: bool,
    pub payload: Vec<u8>,
}

/// The next frame, of bytes that were read before and of what follows; None at the end.
pub fn read_frame(stream: &mut impl Read, pending: &mut Vec<u8>) -> io::Result<Option<Frame>> {
    let mut need = |pending: &mut Vec<u8>, count: usize| -> io::Result<bool> {
        while pending.len() < count {
            let mut buffer = [0; 4096];
            let read = stream.read(&mut buffer)?;
            if read == 0 {
                return Ok(false);
            }
            pending.extend_from_slice(&buffer[..read]);
        }
        Ok(true)
    };
    if !need(pending, 2)? {
        return Ok(None);
    }
    let (opcode, is_last) = (pending[0] & 15, pending[0] & 128 != 0);
    let (is_masked, short) = (pending[1] & 128 != 0, pending[1] & 127);
    let extended = match short {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    let mask_at = 2 + extended;
    let head = mask_at + 4 * usize::from(is_masked);
    if !need(pending, head)? {
        return Ok(None);
    }
    let length = match extended {
        0 => u64::from(short),
        _ => pending[2..mask_at]
            .iter()
            .fold(0, |length, byte| length << 8 | u64::from(*byte)),
    };
    let length = usize::try_from(length).map_err(io::Error::other)?;
    if !need(pending, head + length)? {
        return Ok(None);
    }
    let mask: Vec<u8> = pending[mask_at..head].to_vec();
    let mut payload: Vec<u8> = pending.drain(..head + length).skip(head).collect();
    if is_masked {
        for (at, byte) in payload.iter_mut().enumerate() {
            *byte ^= mask[at % 4];
        }
    }
    Ok(Some(Frame {
        opcode,
        is_last,
        payload,
    }))
}

/// Writes a frame as a server does, without a mask.
pub fn write_frame(stream: &mut impl Write, opcode: u8, payload: &[u8]) -> io::Result<()> {
    stream.write_all(&frame(opcode, payload, None))?;
    stream.flush()
}

/// The bytes of a last frame; with this mask as a client sends it.
pub fn frame(opcode: u8, payload: &[u8], mask: Option<[u8; 4]>) -> Vec<u8> {
    let mut bytes = vec![128 | opcode];
    let masked = 128 * u8::from(mask.is_some());
    match payload.len() {
        length @ 0..126 => bytes.push(masked | length as u8),
        length @ 126..65_536 => {
            bytes.push(masked | 126);
            bytes.extend((length as u16).to_be_bytes());
        }
        length => {
            bytes.push(masked | 127);
            bytes.extend((length as u64).to_be_bytes());
        }
    }
    bytes.extend(mask.into_iter().flatten());
    let mask = mask.unwrap_or_default();
    let payload = payload.iter().enumerate();
    bytes.extend(payload.map(|(at, byte)| byte ^ mask[at % 4]));
    bytes
}
