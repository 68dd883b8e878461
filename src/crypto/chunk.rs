//! Content that is too large for an envelope: a blob of chunks, each a Fernet token under the message's key.
//!
//! The plaintext of a chunk is `0x10 || message id: 16 bytes || index: u32 || last: u8 || data`, big-endian.
//! Every chunk but the last holds exactly 64 KiB of data, the last at least one byte.
//!
//! Chunks are not signed: whoever knows the message's key could make others that open. So a blob counts for
//! nothing before all of it has come and its SHA-256 is that of the signed manifest; until then no byte of
//! it may be played, shown or kept under its name.

use std::fmt;

use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::{CannotOpen, MessageSecret, SealError};
use crate::model::{MessageId, limits};

/// The type byte: none of an envelope's contents begins with it.
const TYPE: u8 = 0x10;
/// Type, message id, index, last flag.
const HEAD: usize = 1 + 16 + 4 + 1;

/// How many chunks a blob of so many bytes has.
pub fn count(size: u64) -> u32 {
    u32::try_from(size.div_ceil(limits::CHUNK as u64)).unwrap_or(u32::MAX)
}

/// Seals one chunk, at most 64 KiB.
///
/// # Errors
/// [`SealError::TooLarge`] for more; [`SealError::Token`] when the library refuses.
pub fn seal_chunk(
    secret: &MessageSecret,
    message: &MessageId,
    index: u32,
    last: bool,
    data: &[u8],
) -> Result<Vec<u8>, SealError> {
    if data.len() > limits::CHUNK {
        return Err(SealError::TooLarge);
    }
    let mut plain = Zeroizing::new(Vec::with_capacity(HEAD + data.len()));
    plain.push(TYPE);
    plain.extend_from_slice(message.as_bytes());
    plain.extend_from_slice(&index.to_be_bytes());
    plain.push(u8::from(last));
    plain.extend_from_slice(data);
    secret.seal(&plain)
}

/// An opened chunk.
pub struct Chunk {
    /// Whether it says that it is the last.
    pub last: bool,
    /// What it holds.
    pub data: Zeroizing<Vec<u8>>,
}

impl fmt::Debug for Chunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Chunk({} bytes{})", self.data.len(), if self.last { ", last" } else { "" })
    }
}

/// Opens one chunk of a message, at its place.
///
/// # Errors
/// [`CannotOpen`] when it is not a chunk of that message, at that place, under that key.
pub fn open_chunk(
    secret: &MessageSecret,
    message: &MessageId,
    index: u32,
    token: &[u8],
) -> Result<Chunk, CannotOpen> {
    let mut data = secret.open(token)?;
    let (head, rest) = data.split_first_chunk::<HEAD>().ok_or(CannotOpen)?;
    let (start, flag) = head.split_at(HEAD - 1);
    let place: [&[u8]; 3] = [&[TYPE], message.as_bytes(), &index.to_be_bytes()];
    if start != place.concat() || rest.len() > limits::CHUNK {
        return Err(CannotOpen);
    }
    let last = match flag {
        [0] => false,
        [1] => true,
        _ => return Err(CannotOpen),
    };
    data.drain(..HEAD);
    Ok(Chunk { last, data })
}

/// What a manifest says of a blob.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Expected {
    /// Bytes of all chunks' data.
    pub size: u64,
    /// How many chunks.
    pub chunks: u32,
    /// SHA-256 of all chunks' data.
    pub sha256: [u8; 32],
}

/// Opens the chunks of a blob in order, holding no more than one: feed it every chunk, then ask whether
/// that was the blob.
pub struct BlobOpener {
    secret: MessageSecret,
    message: MessageId,
    expected: Expected,
    next: u32,
    size: u64,
    hash: Sha256,
}

impl BlobOpener {
    /// Ready for the first chunk of a message's blob.
    pub fn new(secret: MessageSecret, message: MessageId, expected: Expected) -> Self {
        Self { secret, message, expected, next: 0, size: 0, hash: Sha256::new() }
    }

    /// The index of the chunk that [`push`](Self::push) wants.
    pub fn wanted(&self) -> u32 {
        self.next
    }

    /// Opens the next chunk. Its data is not to be relied on before [`finish`](Self::finish) said yes.
    ///
    /// # Errors
    /// [`CannotOpen`] when it is not the next chunk. The same place can be tried again with another copy.
    pub fn push(&mut self, token: &[u8]) -> Result<Zeroizing<Vec<u8>>, CannotOpen> {
        if self.next >= self.expected.chunks {
            return Err(CannotOpen);
        }
        let chunk = open_chunk(&self.secret, &self.message, self.next, token)?;
        let is_last = self.next + 1 == self.expected.chunks;
        let length = chunk.data.len() as u64;
        let size = self.size.saturating_add(length);
        let fits = if is_last { size == self.expected.size } else { length == limits::CHUNK as u64 };
        if chunk.last != is_last || !fits {
            return Err(CannotOpen);
        }
        self.next += 1;
        self.size = size;
        self.hash.update(chunk.data.as_slice());
        Ok(chunk.data)
    }

    /// Whether all chunks came and are what the manifest promised.
    ///
    /// # Errors
    /// [`CannotOpen`] when chunks are missing, or size or SHA-256 differ.
    pub fn finish(self) -> Result<(), CannotOpen> {
        let sha256: [u8; 32] = self.hash.finalize().into();
        let all = self.next == self.expected.chunks;
        let whole = all && self.size == self.expected.size && sha256 == self.expected.sha256;
        if whole { Ok(()) } else { Err(CannotOpen) }
    }
}

impl fmt::Debug for BlobOpener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BlobOpener({} of {} chunks)", self.next, self.expected.chunks)
    }
}

#[cfg(test)]
#[path = "chunk_tests.rs"]
mod tests;
