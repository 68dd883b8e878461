//! Sound that is heard while it is being spoken: a blob of groups, each sealed under the message's key and signed
//! by the sender's device, so that it may be played before the whole is known.
//!
//! ```text
//! group     = signature length: u16 || signature || token                                (big-endian)
//! plaintext = 0x11 || message id: 16 bytes || index: u32 || last: u8 || samples
//! ```
//!
//! The signature is over `tag || 0 || SHA-256(opening header) || index: u32 || SHA-256(token)`: a group of another
//! note, at another place, or made by somebody else who knows the key is refused before anything is decrypted.
//! Samples are 16-bit little-endian PCM, mono, 16 kHz. Every group but the last holds exactly
//! [`limits::LIVE_GROUP`] bytes of them, the last fewer, perhaps none.

use bytes::{Buf as _, Bytes};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::chunk::Chunk;
use super::{CannotOpen, MessageSecret, PrivateKey, PublicKey, Purpose, SealError};
use crate::model::{MessageId, limits};

/// The type byte: none of an envelope's contents and no chunk of another blob begins with it.
const TYPE: u8 = 0x11;
/// Type, message id, index, last flag.
const HEAD: usize = 1 + 16 + 4 + 1;

/// Which note a group belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Note {
    /// SHA-256 of the header of the envelope that opened it.
    pub opening: [u8; 32],
    /// That envelope's message id.
    pub message: MessageId,
}

/// How many groups a note of so many bytes of samples has.
pub fn count(size: u64) -> u32 {
    u32::try_from(size / limits::LIVE_GROUP as u64 + 1).unwrap_or(u32::MAX)
}

/// Whether a group may hold so many bytes.
fn fits(length: usize, last: bool) -> bool {
    if last { length < limits::LIVE_GROUP && length.is_multiple_of(2) } else { length == limits::LIVE_GROUP }
}

/// Seals and signs one group of samples.
///
/// Takes milliseconds of computation: not for an async worker.
///
/// # Errors
/// [`SealError::Content`] when a group can't hold so many bytes; [`SealError::Token`], [`SealError::Sign`] when a
/// library refuses.
pub fn seal_group(
    secret: &MessageSecret,
    device_key: &PrivateKey,
    note: &Note,
    index: u32,
    last: bool,
    samples: &[u8],
) -> Result<Vec<u8>, SealError> {
    if !fits(samples.len(), last) {
        return Err(SealError::Content);
    }
    let mut plain = Zeroizing::new(Vec::with_capacity(HEAD + samples.len()));
    plain.push(TYPE);
    plain.extend_from_slice(note.message.as_bytes());
    plain.extend_from_slice(&index.to_be_bytes());
    plain.push(u8::from(last));
    plain.extend_from_slice(samples);
    let token = secret.seal(&plain)?;
    let token_hash: [u8; 32] = Sha256::digest(&token).into();
    let signature =
        device_key.sign(Purpose::LiveSound, &[&note.opening, &index.to_be_bytes(), &token_hash])?;
    let length = u16::try_from(signature.len()).map_err(|_| SealError::Sign)?;
    Ok([&length.to_be_bytes()[..], &signature, &token].concat())
}

/// Checks the signature of the group at a place, and only then opens it.
///
/// Takes a good part of a millisecond of computation: not for an async worker.
///
/// # Errors
/// [`CannotOpen`] when it is not that group of that note, signed by that device.
pub fn open_group(
    secret: &MessageSecret,
    device: &PublicKey,
    note: &Note,
    index: u32,
    group: &Bytes,
) -> Result<Chunk, CannotOpen> {
    if group.len() > limits::BODY {
        return Err(CannotOpen);
    }
    let mut token = group.clone();
    let length = usize::from(token.try_get_u16().map_err(|_| CannotOpen)?);
    if length > token.len() {
        return Err(CannotOpen);
    }
    let signature = token.split_to(length);
    let token_hash: [u8; 32] = Sha256::digest(&token).into();
    let signed: [&[u8]; 3] = [&note.opening, &index.to_be_bytes(), &token_hash];
    device.verify(Purpose::LiveSound, &signed, &signature).map_err(|_| CannotOpen)?;
    let mut data = secret.open(&token)?;
    let (head, rest) = data.split_first_chunk::<HEAD>().ok_or(CannotOpen)?;
    let (start, flag) = head.split_at(HEAD - 1);
    let place: [&[u8]; 3] = [&[TYPE], note.message.as_bytes(), &index.to_be_bytes()];
    if start != place.concat() {
        return Err(CannotOpen);
    }
    let last = match flag {
        [0] => false,
        [1] => true,
        _ => return Err(CannotOpen),
    };
    if !fits(rest.len(), last) {
        return Err(CannotOpen);
    }
    data.drain(..HEAD);
    Ok(Chunk { last, data })
}

#[cfg(test)]
#[path = "live_tests.rs"]
mod tests;
