//! Frames: `length: u32`, `head length: u32`, head, body; big-endian, `length` counts all that follows it.
//!
//! A pure codec: bytes in, frames out. What is too large is refused from the prefix alone, before anything
//! is allocated for it.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::model::limits;

/// Bytes in front of a head.
pub const PREFIX: usize = 8;

/// A head and the opaque bytes behind it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Frame {
    /// CBOR of a [`Request`](super::message::Request) or a [`Push`](super::message::Push).
    pub head: Bytes,
    /// An envelope, a chunk, or nothing.
    pub body: Bytes,
}

/// Bytes that are no frame. There is no way to find the next one: the connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The frame is over the limit.
    #[error("a frame of {length} bytes, over the limit of {limit}")]
    TooLarge {
        /// What the prefix says.
        length: usize,
        /// What is allowed.
        limit: usize,
    },
    /// The head would reach beyond the frame, or is over its limit.
    #[error("a frame whose head can't be")]
    Head,
}

/// What a frame may measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// Head and body and the head's length.
    pub frame: usize,
    /// The head.
    pub head: usize,
}

impl Limit {
    /// Before login: room for a registration with 4096-bit keys.
    pub const BEFORE_LOGIN: Self =
        Self { frame: limits::FRAME_BEFORE_LOGIN, head: limits::FRAME_BEFORE_LOGIN };

    /// A wrap is at most a 4096-bit ciphertext and two ids, each for an account of its own, with their CBOR heads.
    const WRAPS: usize = limits::WRAPS * (*limits::CIPHERTEXT.end() + 3 * 34 + 6);

    /// From a logged-in client: the head carries wraps.
    pub const FROM_CLIENT: Self =
        Self { frame: limits::FRAME + Self::WRAPS, head: limits::HEAD + Self::WRAPS };

    /// From a server: a directory page is the largest head.
    pub const FROM_SERVER: Self = Self { frame: limits::FRAME, head: limits::FRAME };
}

/// Appends a frame to a buffer.
pub fn put(buffer: &mut BytesMut, head: &[u8], body: &[u8]) {
    let length = 4 + head.len() + body.len();
    buffer.reserve(4 + length);
    // Both fit: heads and bodies are held to limits far below 4 GiB before they come here.
    buffer.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
    buffer.put_u32(u32::try_from(head.len()).unwrap_or(u32::MAX));
    buffer.put_slice(head);
    buffer.put_slice(body);
}

/// Appends a frame whose head is encoded into its place.
pub fn put_encoded<T: minicbor::Encode<()>>(buffer: &mut BytesMut, head: &T, body: &[u8]) {
    // An entry of a mailbox has about such a head, with one wrap.
    buffer.reserve(PREFIX + 512 + body.len());
    let begin = buffer.len();
    buffer.put_bytes(0, PREFIX);
    // It is written to memory: that can't fail.
    let _ = minicbor::encode(head, minicbor::encode::write::Writer::new((&mut *buffer).writer()));
    let head = buffer.len() - begin - PREFIX;
    buffer.put_slice(body);
    let length = u32::try_from(4 + head + body.len()).unwrap_or(u32::MAX);
    let head = u32::try_from(head).unwrap_or(u32::MAX);
    if let Some(prefix) = buffer.get_mut(begin..).and_then(|frame| frame.first_chunk_mut::<PREFIX>()) {
        *prefix = (u64::from(length) << 32 | u64::from(head)).to_be_bytes();
    }
}

/// Takes the first frame out of a buffer. `None`: more bytes are needed.
///
/// # Errors
/// As soon as the prefix says what can't be.
pub fn take(buffer: &mut BytesMut, limit: Limit) -> Result<Option<Frame>, FrameError> {
    let Some((prefix, _)) = buffer.split_first_chunk::<PREFIX>() else {
        // An impossible length is refused even before the second half of the prefix is there.
        if let Some((length, _)) = buffer.split_first_chunk::<4>() {
            check_length(u32::from_be_bytes(*length), limit)?;
        }
        return Ok(None);
    };
    let [a, b, c, d, e, f, g, h] = *prefix;
    let length = check_length(u32::from_be_bytes([a, b, c, d]), limit)?;
    let head = usize::try_from(u32::from_be_bytes([e, f, g, h])).map_err(|_| FrameError::Head)?;
    if head > limit.head || head > length - 4 {
        return Err(FrameError::Head);
    }
    if buffer.len() < 4 + length {
        return Ok(None);
    }
    let mut frame = buffer.split_to(4 + length).freeze();
    frame.advance(PREFIX);
    let head = frame.split_to(head);
    Ok(Some(Frame { head, body: frame }))
}

fn check_length(length: u32, limit: Limit) -> Result<usize, FrameError> {
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    if length > limit.frame {
        return Err(FrameError::TooLarge { length, limit: limit.frame });
    }
    if length < 4 { Err(FrameError::Head) } else { Ok(length) }
}

#[cfg(test)]
#[path = "frame_tests.rs"]
mod tests;
