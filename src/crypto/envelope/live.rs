//! The two ends of a voice note that is heard while it is being spoken. Between them come its groups
//! ([`live`](crate::crypto::live)).

use std::fmt;

use minicbor::bytes::ByteVec;
use minicbor::{Decode, Encode};

use super::content::PEAKS_LIMIT;
use crate::crypto::live;
use crate::model::{BlobId, MessageId, limits};

/// Somebody begins to speak: a CBOR map with the integer keys 0 and 1. The envelope's key is that of the groups.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(map)]
pub struct LiveOpening {
    /// The blob that the groups go into.
    #[n(0)]
    pub blob: BlobId,
    /// Samples in a second: 16,000.
    #[n(1)]
    pub sample_rate: u32,
}

/// It is over: a CBOR map with the integer keys 0 and 1, in an envelope of its own.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(map)]
pub struct LiveClosing {
    /// The message id of the opening, by the same device.
    #[n(0)]
    pub opening: MessageId,
    /// How it ended.
    #[n(1)]
    pub end: LiveEnd,
}

/// How a note that was heard while it was spoken ended.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub enum LiveEnd {
    /// Its speaker was done.
    #[n(0)]
    Done(#[n(0)] LiveManifest),
    /// A fault cut it off: this is as far as it came.
    #[n(1)]
    CutOff(#[n(0)] LiveManifest),
    /// Its speaker took it back.
    #[n(2)]
    Withdrawn,
}

/// What all of its sound is: a CBOR map with the integer keys 0 to 2.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct LiveManifest {
    /// Bytes of all groups' samples.
    #[n(0)]
    pub size: u64,
    /// SHA-256 of all groups' samples.
    #[n(1)]
    #[cbor(with = "minicbor::bytes")]
    pub sha256: [u8; 32],
    /// At most 64 points of the waveform, as in a [`VoiceManifest`](super::VoiceManifest).
    #[n(2)]
    pub peaks: ByteVec,
}

impl LiveOpening {
    /// Whether it is of the one kind that there is.
    pub fn is_consistent(&self) -> bool {
        self.sample_rate == limits::LIVE_RATE
    }
}

impl LiveManifest {
    /// How many groups there are.
    pub fn groups(&self) -> u32 {
        live::count(self.size)
    }

    /// Its length in milliseconds.
    pub fn duration_ms(&self) -> u64 {
        duration_ms(self.size)
    }

    fn is_consistent(&self) -> bool {
        self.size.is_multiple_of(2) && self.size <= limits::LIVE_SIZE && self.peaks.len() <= PEAKS_LIMIT
    }
}

impl LiveClosing {
    /// What there is of it; `None` when it was taken back.
    pub fn manifest(&self) -> Option<&LiveManifest> {
        match &self.end {
            LiveEnd::Done(manifest) | LiveEnd::CutOff(manifest) => Some(manifest),
            LiveEnd::Withdrawn => None,
        }
    }

    /// Whether what it says can be true.
    pub fn is_consistent(&self) -> bool {
        self.manifest().is_none_or(LiveManifest::is_consistent)
    }
}

/// The length of so many bytes of samples, in milliseconds, rounded up.
pub fn duration_ms(size: u64) -> u64 {
    (size / 2 * 1000).div_ceil(u64::from(limits::LIVE_RATE))
}

impl fmt::Debug for LiveManifest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.size)
    }
}
