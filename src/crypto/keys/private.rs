//! Private keys: made and encoded by `rsa`, used by `aws-lc-rs`.

use std::fmt;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{OAEP_SHA256_MGF1SHA256, OaepPrivateDecryptingKey, PrivateDecryptingKey};
use aws_lc_rs::signature::{RSA_PSS_SHA256, RsaKeyPair};
use rsa::RsaPrivateKey;
use rsa::pkcs8::{
    DecodePrivateKey as _, EncodePrivateKey as _, EncodePublicKey as _, LineEnding, SecretDocument,
};
use zeroize::{ZeroizeOnDrop, Zeroizing};

use super::{KeyError, PublicKey};
use crate::crypto::passphrase::SEALED_KEY;
use crate::crypto::{CannotOpen, MessageSecret, Passphrase, Purpose, SealError};
use crate::model::limits;

/// The label of a PKCS#8 PEM block (RFC 7468, section 10).
const PEM_LABEL: &str = "PRIVATE KEY";

/// A private key. Its memory is wiped when it goes; `Debug` shows the public key's id alone.
///
/// Signing and unwrapping take milliseconds of computation: not for an async worker.
#[derive(ZeroizeOnDrop)]
pub struct PrivateKey {
    #[zeroize(skip)]
    public: PublicKey,
    // What `aws-lc` frees, it wipes (`OPENSSL_free`).
    #[zeroize(skip)]
    signing: RsaKeyPair,
    #[zeroize(skip)]
    opening: OaepPrivateDecryptingKey,
    pem: Zeroizing<String>,
}

impl PrivateKey {
    /// Makes a key of 2048 to 4096 bits, a multiple of 8. Takes a good part of a second.
    ///
    /// # Errors
    /// [`KeyError::Bits`] for another size.
    pub fn generate(bits: usize) -> Result<Self, KeyError> {
        if !limits::RSA_BITS.contains(&bits) || !bits.is_multiple_of(8) {
            return Err(KeyError::Bits(bits));
        }
        let key = RsaPrivateKey::new(&mut rand::rng(), bits).map_err(|_| KeyError::Inconsistent)?;
        Self::new(&key)
    }

    /// Reads an unencrypted PKCS#8 PEM (RFC 5958, RFC 7468).
    ///
    /// # Errors
    /// [`KeyError`] when it is not one, or not of a key that is accepted here.
    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        Self::new(&RsaPrivateKey::from_pkcs8_pem(pem).map_err(|_| KeyError::Encoding)?)
    }

    /// Reads what [`PrivateKey::to_sealed_pem`] made.
    ///
    /// # Errors
    /// [`KeyError`] for a wrong passphrase, as for anything else.
    pub fn from_sealed_pem(pem: &str, passphrase: &Passphrase) -> Result<Self, KeyError> {
        let der = passphrase.open(SEALED_KEY, pem).map_err(|_| KeyError::Encoding)?;
        Self::new(&RsaPrivateKey::from_pkcs8_der(&der).map_err(|_| KeyError::Encoding)?)
    }

    fn new(key: &RsaPrivateKey) -> Result<Self, KeyError> {
        let spki = key.to_public_key().to_public_key_der().map_err(|_| KeyError::Encoding)?;
        let public = PublicKey::from_spki(spki.as_bytes())?;
        let pkcs8 = key.to_pkcs8_der().map_err(|_| KeyError::Inconsistent)?;
        let signing = RsaKeyPair::from_pkcs8(pkcs8.as_bytes()).map_err(|_| KeyError::Inconsistent)?;
        let opening =
            PrivateDecryptingKey::from_pkcs8(pkcs8.as_bytes()).map_err(|_| KeyError::Inconsistent)?;
        let opening = OaepPrivateDecryptingKey::new(opening).map_err(|_| KeyError::Inconsistent)?;
        let pem = pkcs8.to_pem(PEM_LABEL, LineEnding::LF).map_err(|_| KeyError::Encoding)?;
        Ok(Self { public, signing, opening, pem })
    }

    /// The unencrypted PKCS#8 PEM: the secret itself, for a file that only its owner can read.
    pub fn to_pem(&self) -> Zeroizing<String> {
        self.pem.clone()
    }

    /// The PKCS#8 PEM sealed under a passphrase: `openssl pkey` asks for it and opens it. Takes a good part of a
    /// second.
    ///
    /// # Errors
    /// [`SealError`] when the library refuses.
    pub fn to_sealed_pem(&self, passphrase: &Passphrase) -> Result<Zeroizing<String>, SealError> {
        let (_, der) = SecretDocument::from_pem(&self.pem).map_err(|_| SealError::Token)?;
        passphrase.seal(SEALED_KEY, der.as_bytes())
    }

    /// The public half.
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// Signs `tag || 0x00 || parts` with RSASSA-PSS.
    ///
    /// # Errors
    /// [`SealError::Sign`] when the library refuses.
    pub fn sign(&self, purpose: Purpose, parts: &[&[u8]]) -> Result<Vec<u8>, SealError> {
        self.sign_raw(&purpose.input(parts))
    }

    /// RSASSA-PSS-SIGN (RFC 8017, section 8.1.1) with SHA-256, MGF1-SHA-256 and a 32-byte salt.
    pub(crate) fn sign_raw(&self, message: &[u8]) -> Result<Vec<u8>, SealError> {
        let mut signature = vec![0; self.public.size()];
        self.signing
            .sign(&RSA_PSS_SHA256, &SystemRandom::new(), message, &mut signature)
            .map_err(|_| SealError::Sign)?;
        Ok(signature)
    }

    /// Unwraps what [`PublicKey::wrap`] made for the header with this SHA-256.
    ///
    /// # Errors
    /// [`CannotOpen`], whatever the reason.
    pub fn unwrap_key(&self, header_hash: &[u8; 32], wrapped: &[u8]) -> Result<MessageSecret, CannotOpen> {
        let plain = self.unwrap_raw(&Purpose::Wrap.input(&[header_hash]), wrapped)?;
        <&[u8; 32]>::try_from(plain.as_slice()).map(MessageSecret::from_bytes).map_err(|_| CannotOpen)
    }

    /// RSAES-OAEP-DECRYPT (RFC 8017, section 7.1.2) with SHA-256 and MGF1-SHA-256.
    pub(crate) fn unwrap_raw(&self, label: &[u8], wrapped: &[u8]) -> Result<Zeroizing<Vec<u8>>, CannotOpen> {
        let mut buffer = Zeroizing::new(vec![0; self.opening.min_output_size()]);
        let plain = self
            .opening
            .decrypt(&OAEP_SHA256_MGF1SHA256, wrapped, &mut buffer, Some(label))
            .map_err(|_| CannotOpen)?;
        Ok(Zeroizing::new(plain.to_vec()))
    }
}

#[cfg(test)]
impl PrivateKey {
    /// The secret where it is.
    pub(in crate::crypto) fn pem_bytes(&self) -> &[u8] {
        self.pem.as_bytes()
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey(of {})", self.public.id())
    }
}
