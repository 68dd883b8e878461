//! What is inside a token: `type: u8 || length: u32 || payload || zeros`, big-endian, filled up to a size
//! class so that the token's size says little about the content's.

use std::fmt;

use minicbor::bytes::ByteVec;
use minicbor::{Decode, Encode};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::live::{LiveClosing, LiveOpening};
use crate::crypto::chunk::{self, Expected};
use crate::crypto::{CannotOpen, LogWord, SealError};
use crate::model::{BlobId, RoomId, RoomName, from_canonical_cbor, limits, to_cbor};

/// The smallest size class; each further one is twice the one before.
const SMALLEST: usize = 128;
/// Type byte and payload length.
const HEAD: usize = 1 + 4;

const TEXT: u8 = 1;
const VOICE: u8 = 2;
const VOID: u8 = 3;
const LIVE_OPENING: u8 = 4;
const LIVE_CLOSING: u8 = 5;
const INVITATION: u8 = 6;
const LOG: u8 = 32;

/// Names are shown, never used as paths; longer ones are nobody's.
const NAME_LIMIT: usize = 255;
/// Room for any registered media type (RFC 6838, section 4.2).
const MEDIA_TYPE_LIMIT: usize = 127;
/// Points of a waveform.
pub(super) const PEAKS_LIMIT: usize = 64;

/// What a message says. `Debug` shows kind and size, never the content.
#[derive(Clone, PartialEq, Eq)]
pub enum Content {
    /// UTF-8, at most 48 KiB. Any characters at all: whoever shows it takes out what a terminal would obey.
    Text(String),
    /// A voice note, or where its sound is.
    Voice(VoiceManifest),
    /// Nothing: holds the place of a message that will never come.
    Void,
    /// A voice note begins, to be heard while it is being spoken.
    LiveOpening(LiveOpening),
    /// It has ended.
    LiveClosing(LiveClosing),
    /// The receiver may come into a room.
    Invitation(Invitation),
    /// About the transparency log, between two clients that see different ones. Never shown, outside chains.
    Log(Box<LogWord>),
}

/// The way into a room, which the server is never told: a CBOR map with the integer keys 0 and 1.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(map)]
pub struct Invitation {
    /// The room, whose records say that the receiver is invited.
    #[n(0)]
    pub room: RoomId,
    /// What its members call it.
    #[n(1)]
    pub name: RoomName,
}

/// A voice note: a CBOR map with the integer keys 0 to 8.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct VoiceManifest {
    /// The sound, or where it is.
    #[n(0)]
    pub data: VoiceData,
    /// What the sender calls it: at most 255 bytes, to be shown, never to be used as a path.
    #[n(1)]
    pub name: String,
    /// `audio/wav`.
    #[n(2)]
    pub media_type: String,
    /// Bytes of the file.
    #[n(3)]
    pub size: u64,
    /// SHA-256 of the file. Nothing of it is played before this matches.
    #[n(4)]
    #[cbor(with = "minicbor::bytes")]
    pub sha256: [u8; 32],
    /// Length in milliseconds.
    #[n(5)]
    pub duration_ms: u64,
    /// Samples in a second.
    #[n(6)]
    pub sample_rate: u32,
    /// At most 64 points of the waveform, evenly spaced, each the loudest sample of its part: 255 is full scale.
    #[n(7)]
    pub peaks: ByteVec,
}

/// The sound of a voice note, or where it is.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub enum VoiceData {
    /// In chunks on the server.
    #[n(0)]
    Blob {
        /// Which blob.
        #[n(0)]
        id: BlobId,
        /// How many chunks.
        #[n(1)]
        chunks: u32,
    },
    /// Here: at most 48 KiB.
    #[n(1)]
    Inline(#[n(0)] ByteVec),
}

impl VoiceManifest {
    /// The blob that the sound is in, and what it has to be; `None` for sound that is in the manifest.
    pub fn blob(&self) -> Option<(BlobId, Expected)> {
        match self.data {
            VoiceData::Blob { id, chunks } => {
                Some((id, Expected { size: self.size, chunks, sha256: self.sha256 }))
            }
            VoiceData::Inline(_) => None,
        }
    }

    /// Whether what it says of its sound can be true: sizes, chunk count, and for inline sound the hash.
    pub fn is_consistent(&self) -> bool {
        let data = match &self.data {
            VoiceData::Blob { chunks, .. } => {
                (1..=limits::BLOB).contains(&self.size) && *chunks == chunk::count(self.size)
            }
            VoiceData::Inline(bytes) => {
                bytes.len() <= limits::INLINE_CONTENT
                    && self.size == bytes.len() as u64
                    && <[u8; 32]>::from(Sha256::digest(bytes.as_slice())) == self.sha256
            }
        };
        data && self.name.len() <= NAME_LIMIT
            && self.media_type.len() <= MEDIA_TYPE_LIMIT
            && self.peaks.len() <= PEAKS_LIMIT
    }
}

impl Content {
    /// The plaintext of the token, padded.
    ///
    /// # Errors
    /// [`SealError`] for what no receiver would take: too large, or a manifest that contradicts itself.
    pub fn encode(&self) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let (kind, payload) = match self {
            Self::Text(text) if text.len() > limits::INLINE_CONTENT => return Err(SealError::TooLarge),
            Self::Voice(VoiceManifest { data: VoiceData::Inline(bytes), .. })
                if bytes.len() > limits::INLINE_CONTENT =>
            {
                return Err(SealError::TooLarge);
            }
            Self::Voice(manifest) if !manifest.is_consistent() => return Err(SealError::Content),
            Self::LiveOpening(opening) if !opening.is_consistent() => return Err(SealError::Content),
            Self::LiveClosing(closing) if !closing.is_consistent() => return Err(SealError::Content),
            Self::Text(text) => (TEXT, Zeroizing::new(text.clone().into_bytes())),
            Self::Voice(manifest) => (VOICE, Zeroizing::new(to_cbor(manifest))),
            Self::Void => (VOID, Zeroizing::new(Vec::new())),
            Self::LiveOpening(opening) => (LIVE_OPENING, Zeroizing::new(to_cbor(opening))),
            Self::LiveClosing(closing) => (LIVE_CLOSING, Zeroizing::new(to_cbor(closing))),
            Self::Invitation(invitation) => (INVITATION, Zeroizing::new(to_cbor(invitation))),
            Self::Log(word) => (LOG, Zeroizing::new(to_cbor(word))),
        };
        let length = u32::try_from(payload.len()).map_err(|_| SealError::TooLarge)?;
        let mut plain = Zeroizing::new(Vec::with_capacity(size_class(payload.len())));
        plain.push(kind);
        plain.extend_from_slice(&length.to_be_bytes());
        plain.extend_from_slice(&payload);
        plain.resize(size_class(payload.len()), 0);
        Ok(plain)
    }

    /// Reads what [`Content::encode`] made, and nothing else.
    ///
    /// # Errors
    /// [`CannotOpen`], whatever is wrong.
    pub fn decode(plain: &[u8]) -> Result<Self, CannotOpen> {
        let (head, rest) = plain.split_first_chunk::<HEAD>().ok_or(CannotOpen)?;
        let [kind, length @ ..] = *head;
        let length = usize::try_from(u32::from_be_bytes(length)).map_err(|_| CannotOpen)?;
        let (payload, padding) = rest.split_at_checked(length).ok_or(CannotOpen)?;
        if plain.len() != size_class(length) || padding.iter().any(|byte| *byte != 0) {
            return Err(CannotOpen);
        }
        match kind {
            TEXT if length <= limits::INLINE_CONTENT => {
                let text = std::str::from_utf8(payload).map_err(|_| CannotOpen)?;
                Ok(Self::Text(text.to_owned()))
            }
            VOICE => {
                let manifest: VoiceManifest = from_canonical_cbor(payload).map_err(|_| CannotOpen)?;
                if manifest.is_consistent() { Ok(Self::Voice(manifest)) } else { Err(CannotOpen) }
            }
            VOID if length == 0 => Ok(Self::Void),
            LIVE_OPENING => {
                let opening: LiveOpening = from_canonical_cbor(payload).map_err(|_| CannotOpen)?;
                if opening.is_consistent() { Ok(Self::LiveOpening(opening)) } else { Err(CannotOpen) }
            }
            INVITATION => Ok(Self::Invitation(from_canonical_cbor(payload).map_err(|_| CannotOpen)?)),
            LOG => Ok(Self::Log(from_canonical_cbor(payload).map_err(|_| CannotOpen)?)),
            LIVE_CLOSING => {
                let closing: LiveClosing = from_canonical_cbor(payload).map_err(|_| CannotOpen)?;
                if closing.is_consistent() { Ok(Self::LiveClosing(closing)) } else { Err(CannotOpen) }
            }
            _ => Err(CannotOpen),
        }
    }
}

/// Bytes of the padded plaintext of a payload: 128, 256, 512, 1024, and so on.
fn size_class(payload: usize) -> usize {
    payload.saturating_add(HEAD).checked_next_power_of_two().unwrap_or(usize::MAX).max(SMALLEST)
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "Text({} bytes)", text.len()),
            Self::Voice(manifest) => manifest.fmt(f),
            Self::Void => f.write_str("Void"),
            Self::LiveOpening(opening) => opening.fmt(f),
            Self::LiveClosing(closing) => closing.fmt(f),
            Self::Invitation(_) => f.write_str("Invitation"),
            Self::Log(_) => f.write_str("Log"),
        }
    }
}

impl fmt::Debug for VoiceManifest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Voice({} bytes, {:?})", self.size, self.data)
    }
}

impl fmt::Debug for VoiceData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Blob { chunks, .. } => write!(f, "{chunks} chunks"),
            Self::Inline(_) => f.write_str("inline"),
        }
    }
}
