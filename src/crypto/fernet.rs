//! The Fernet key of one message, and tokens made with it
//! ([Fernet specification](https://github.com/fernet/spec/blob/master/Spec.md)).
//!
//! Tokens are raw bytes here: `0x80 || time: u64 || IV: 16 bytes || AES-128-CBC || HMAC-SHA-256`. Base64
//! is put back only where the library wants it; it would cost a third on the way and on disk.
//!
//! What Fernet does not give, and where it comes from instead: it does not commit to its key (the two
//! halves, signing and encryption, are independent), so the header carries a [commitment]; it binds no
//! associated data, so wrap and signature bind the header; its time stamp is not relied on.
//!
//! [commitment]: MessageSecret::commitment

use std::fmt;

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::{CannotOpen, Purpose, SealError};

/// What the library adds to the time before it compares.
const SKEW: u64 = 60;

/// The Fernet key of one message: 16 bytes for HMAC, 16 for AES. Wiped when it goes; `Debug` hides it.
///
/// It stays in one place: what is moved as bytes leaves a copy wherever it has been.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct MessageSecret(Box<[u8; 32]>);

impl MessageSecret {
    /// A fresh key from the system's generator.
    pub fn generate() -> Self {
        let mut key = Self(Box::new([0; 32]));
        rand::fill(key.0.as_mut_slice());
        key
    }

    /// The key made of these bytes: out of a wrap, or out of one's own store.
    pub fn from_bytes(bytes: &[u8; 32]) -> Self {
        let mut key = Self(Box::new([0; 32]));
        key.0.copy_from_slice(bytes);
        key
    }

    /// The key itself. Only for wrapping it and for a store that is encrypted.
    pub fn expose_key_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// What a header says of its key: SHA-256 over `tag || 0x00 || key`.
    pub fn commitment(&self) -> [u8; 32] {
        // All at once: what is hashed piece by piece is copied with each step.
        let input = Zeroizing::new(Purpose::Commitment.input(&[self.0.as_slice()]));
        let mut commitment = [0; 32];
        commitment.copy_from_slice(digest::digest(&digest::SHA256, &input).as_ref());
        commitment
    }

    /// A token of these bytes.
    ///
    /// # Errors
    /// [`SealError::Token`] when the library refuses.
    pub fn seal(&self, plain: &[u8]) -> Result<Vec<u8>, SealError> {
        let token = self.seal_by_library(plain).ok_or(SealError::Token);
        wipe_stack();
        URL_SAFE.decode(token?).map_err(|_| SealError::Token)
    }

    #[inline(never)]
    fn seal_by_library(&self, plain: &[u8]) -> Option<String> {
        Some(self.fernet()?.encrypt(plain))
    }

    /// The bytes in a token, whatever time it was made at.
    ///
    /// # Errors
    /// [`CannotOpen`], whatever the reason.
    pub fn open(&self, token: &[u8]) -> Result<Zeroizing<Vec<u8>>, CannotOpen> {
        let (_, rest) = token.split_first().ok_or(CannotOpen)?;
        let (time, _) = rest.split_first_chunk::<8>().ok_or(CannotOpen)?;
        // The library refuses tokens "from the future"; here the signed sent-at is what counts. It adds
        // the permitted skew unchecked, so the end of time is kept away from it.
        let now = u64::from_be_bytes(*time).min(u64::MAX - SKEW);
        self.open_at(token, None, now)
    }

    /// Opens a token as the specification has it: not from the future, and not older than `ttl` seconds.
    fn open_at(&self, token: &[u8], ttl: Option<u64>, now: u64) -> Result<Zeroizing<Vec<u8>>, CannotOpen> {
        let plain = self.open_by_library(&URL_SAFE.encode(token), ttl, now).ok_or(CannotOpen);
        wipe_stack();
        plain
    }

    #[inline(never)]
    fn open_by_library(&self, token: &str, ttl: Option<u64>, now: u64) -> Option<Zeroizing<Vec<u8>>> {
        self.fernet()?.decrypt_at_time(token, ttl, now).ok().map(Zeroizing::new)
    }

    fn fernet(&self) -> Option<::fernet::Fernet> {
        ::fernet::Fernet::new(&Zeroizing::new(URL_SAFE.encode(self.0.as_slice())))
    }
}

/// Overwrites what calls before this one have left below it on the stack. The library has the key there, moves it, and
/// wipes it only where it was last.
#[inline(never)]
fn wipe_stack() {
    let mut below = [0u8; 16 * 1024];
    std::hint::black_box(&mut below);
}

impl fmt::Debug for MessageSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MessageSecret(hidden)")
    }
}

#[cfg(test)]
#[path = "fernet_tests.rs"]
mod tests;
