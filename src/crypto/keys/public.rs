//! Public keys: parsing, verifying, wrapping.

use std::fmt;
use std::sync::Arc;

use rsa::RsaPublicKey;
use rsa::pkcs8::{DecodePublicKey as _, EncodePublicKey as _};
use rsa::pss::{Signature, VerifyingKey};
use rsa::signature::Verifier as _;
use rsa::traits::PublicKeyParts as _;
use sha2::{Digest as _, Sha256};

use super::{BadSignature, KeyError};
use crate::crypto::Purpose;
use crate::model::{KeyId, limits};

/// Bytes of a PSS salt: as long as the hash (RFC 8017, section 9.1).
const SALT: usize = 32;

/// The SPKI of a 4096-bit key takes 550 bytes.
const SPKI_LIMIT: usize = 1024;

/// A public key, parsed and found acceptable once. Cheap to clone.
#[derive(Clone)]
pub struct PublicKey(Arc<Parsed>);

struct Parsed {
    key: VerifyingKey<Sha256>,
    spki: Vec<u8>,
    id: KeyId,
}

impl PublicKey {
    /// Reads a SubjectPublicKeyInfo (RFC 5280, section 4.1.2.7; RFC 8017, appendix A.1), in DER.
    ///
    /// # Errors
    /// [`KeyError`] for anything but an RSA key of 2048 to 4096 bits with e = 65537 in its one encoding.
    pub fn from_spki(der: &[u8]) -> Result<Self, KeyError> {
        if der.len() > SPKI_LIMIT {
            return Err(KeyError::Encoding);
        }
        let key = RsaPublicKey::from_public_key_der(der).map_err(|_| KeyError::Encoding)?;
        let bits = bits_of(&key);
        if !limits::RSA_BITS.contains(&bits) {
            return Err(KeyError::Bits(bits));
        }
        if *key.e() != rsa::BoxedUint::from(65537_u64) {
            return Err(KeyError::Exponent);
        }
        let canonical = key.to_public_key_der().map_err(|_| KeyError::Encoding)?;
        if canonical.as_bytes() != der {
            return Err(KeyError::Encoding);
        }
        let id = KeyId::new(Sha256::digest(der).into());
        let key = VerifyingKey::new_with_salt_len(key, SALT);
        Ok(Self(Arc::new(Parsed { key, spki: der.to_vec(), id })))
    }

    /// The SubjectPublicKeyInfo, in DER.
    pub fn spki(&self) -> &[u8] {
        &self.0.spki
    }

    /// SHA-256 of the SPKI.
    pub fn id(&self) -> KeyId {
        self.0.id
    }

    /// The size of the modulus.
    pub fn bits(&self) -> usize {
        bits_of(self.rsa())
    }

    /// Bytes of a signature, and of a wrap: those of the modulus.
    pub fn size(&self) -> usize {
        self.rsa().size()
    }

    /// Checks an RSASSA-PSS signature over `tag || 0x00 || parts`.
    ///
    /// # Errors
    /// [`BadSignature`] when it is not this key's over exactly that.
    pub fn verify(&self, purpose: Purpose, parts: &[&[u8]], signature: &[u8]) -> Result<(), BadSignature> {
        self.verify_raw(&purpose.input(parts), signature)
    }

    /// RSASSA-PSS-VERIFY (RFC 8017, section 8.1.2) with SHA-256, MGF1-SHA-256 and a 32-byte salt.
    pub(crate) fn verify_raw(&self, message: &[u8], signature: &[u8]) -> Result<(), BadSignature> {
        let signature = Signature::try_from(signature).map_err(|_| BadSignature)?;
        self.0.key.verify(message, &signature).map_err(|_| BadSignature)
    }

    /// Wraps the key of a message so that only this key's owner can unwrap it, and only for the header
    /// with this SHA-256.
    ///
    /// # Errors
    /// [`SealError::Wrap`](crate::crypto::SealError::Wrap) when the library refuses.
    #[cfg(feature = "client")]
    pub fn wrap(
        &self,
        header_hash: &[u8; 32],
        secret: &crate::crypto::MessageSecret,
    ) -> Result<Vec<u8>, crate::crypto::SealError> {
        self.wrap_raw(&Purpose::Wrap.input(&[header_hash]), secret.expose_key_bytes())
    }

    /// RSAES-OAEP-ENCRYPT (RFC 8017, section 7.1.1) with SHA-256 and MGF1-SHA-256.
    #[cfg(feature = "client")]
    pub(crate) fn wrap_raw(&self, label: &[u8], secret: &[u8]) -> Result<Vec<u8>, crate::crypto::SealError> {
        let padding = rsa::Oaep::<Sha256>::new_with_label(label);
        self.rsa().encrypt(&mut rand::rng(), padding, secret).map_err(|_| crate::crypto::SealError::Wrap)
    }

    fn rsa(&self) -> &RsaPublicKey {
        self.0.key.as_ref()
    }
}

fn bits_of(key: &RsaPublicKey) -> usize {
    usize::try_from(key.n().bits_vartime()).unwrap_or(usize::MAX)
}

/// Two keys are equal when their encodings are.
impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.0.id == other.0.id
    }
}

impl Eq for PublicKey {}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.id())
    }
}
