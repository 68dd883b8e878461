//! Secrets at rest, sealed under a passphrase: PBES2 (RFC 8018) with scrypt (RFC 7914) and AES-256-CBC, in the
//! container of PKCS#8 (RFC 5958), so that `openssl pkey` opens what holds a key.
//!
//! CBC does not tell a wrong passphrase from a right one; what comes out is a key only under the right one.

use std::fmt;
use std::io::Read;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rsa::pkcs8::der::{Decode as _, Encode as _, pem};
use rsa::pkcs8::pkcs5::{pbes2, scrypt};
use rsa::pkcs8::{EncryptedPrivateKeyInfoOwned, LineEnding};
use zeroize::{ZeroizeOnDrop, Zeroizing};

use super::{CannotOpen, SealError};

/// scrypt's cost: N = 2^14, r = 8, p = 5. `openssl pkey` refuses a larger N.
const LOG_N: u8 = 14;
const R: u32 = 8;
const P: u32 = 5;
/// Bytes of a passphrase, at most: what is longer was not typed.
const LONGEST: usize = 4096;

/// The label of a sealed private key's PEM (RFC 7468, section 11).
pub const SEALED_KEY: &str = "ENCRYPTED PRIVATE KEY";
/// The label of another sealed secret's PEM.
pub const SEALED_SECRET: &str = "TELLAL SEALED SECRET";

/// A passphrase. Wiped when it goes; `Debug` hides it. There is no way to copy it: who needs it shares it.
#[derive(ZeroizeOnDrop)]
pub struct Passphrase(Zeroizing<String>);

impl Passphrase {
    /// The passphrase in these words. `None`: there are none.
    pub fn new(words: Zeroizing<String>) -> Option<Self> {
        (!words.is_empty()).then_some(Self(words))
    }

    /// A passphrase for no person to remember: 32 random bytes, as 43 letters, digits, `-` and `_`.
    pub fn random() -> Self {
        let mut bytes = Zeroizing::new([0u8; 32]);
        rand::fill(bytes.as_mut());
        Self(Zeroizing::new(URL_SAFE_NO_PAD.encode(bytes.as_slice())))
    }

    /// The first line of what is read.
    ///
    /// # Errors
    /// When it can't be read, or is no UTF-8.
    pub fn read(mut reader: impl Read) -> std::io::Result<Option<Self>> {
        // Byte by byte: what comes behind the line is somebody else's.
        let mut line = Zeroizing::new(Vec::with_capacity(LONGEST));
        let mut byte = Zeroizing::new([0]);
        while line.len() < LONGEST && reader.read(byte.as_mut())? == 1 && *byte != [b'\n'] {
            line.extend_from_slice(byte.as_ref());
        }
        let line = line.strip_suffix(b"\r").unwrap_or(&line);
        let words = std::str::from_utf8(line).map_err(|_| std::io::ErrorKind::InvalidData)?;
        Ok(Self::new(Zeroizing::new(words.to_owned())))
    }

    /// The words themselves, for a keyring and for nothing else.
    pub fn reveal_for_a_keyring(&self) -> &str {
        &self.0
    }

    /// Whether it is the same.
    pub fn is(&self, other: &Self) -> bool {
        self.0 == other.0
    }

    /// Seals a secret, as a PEM of this label. Takes a good part of a second.
    ///
    /// # Errors
    /// [`SealError::Token`] when the library refuses.
    pub fn seal(&self, label: &'static str, secret: &[u8]) -> Result<Zeroizing<String>, SealError> {
        let (mut salt, mut iv) = ([0; 16], [0; 16]);
        rand::fill(&mut salt);
        rand::fill(&mut iv);
        let sealed = || {
            let cost = scrypt::Params::new(LOG_N, R, P).ok()?;
            let parameters = pbes2::Parameters::generate_scrypt_aes256cbc(cost, &salt, iv).ok()?;
            let encrypted = parameters.encrypt(self.0.as_bytes(), secret).ok()?;
            let container = EncryptedPrivateKeyInfoOwned {
                encryption_algorithm: parameters.into(),
                encrypted_data: rsa::pkcs8::der::asn1::OctetString::new(encrypted).ok()?,
            };
            pem::encode_string(label, LineEnding::LF, &container.to_der().ok()?).ok()
        };
        sealed().map(Zeroizing::new).ok_or(SealError::Token)
    }

    /// Opens what [`Passphrase::seal`] has made. Takes a good part of a second.
    ///
    /// # Errors
    /// [`CannotOpen`] for a wrong passphrase, or anything else.
    pub fn open(&self, label: &'static str, sealed: &str) -> Result<Zeroizing<Vec<u8>>, CannotOpen> {
        let (found, der) = pem::decode_vec(sealed.as_bytes()).map_err(|_| CannotOpen)?;
        if found != label {
            return Err(CannotOpen);
        }
        let container = EncryptedPrivateKeyInfoOwned::from_der(&der).map_err(|_| CannotOpen)?;
        let opened = container
            .encryption_algorithm
            .decrypt(self.0.as_bytes(), container.encrypted_data.as_bytes())
            .map_err(|_| CannotOpen)?;
        Ok(Zeroizing::new(opened))
    }
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passphrase(…)")
    }
}

/// Whether a PEM is of something sealed.
pub fn is_sealed(pem: &str) -> bool {
    [SEALED_KEY, SEALED_SECRET]
        .iter()
        .any(|label| pem.strip_prefix("-----BEGIN ").is_some_and(|rest| rest.starts_with(label)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::PrivateKey;
    use crate::crypto::test_keys::AYŞE;

    fn passphrase(words: &str) -> Passphrase {
        Passphrase::new(Zeroizing::new(words.to_owned())).unwrap()
    }

    #[test]
    fn a_sealed_secret_opens_with_its_passphrase_alone() {
        let sealed = passphrase("çok gizli").seal(SEALED_SECRET, b"secret").unwrap();
        assert!(is_sealed(&sealed) && !is_sealed(&AYŞE.device.to_pem()));
        assert_eq!(*passphrase("çok gizli").open(SEALED_SECRET, &sealed).unwrap(), b"secret");
        assert!(passphrase("çok gizli").open(SEALED_KEY, &sealed).is_err());
        assert_ne!(
            passphrase("başka").open(SEALED_SECRET, &sealed).ok().as_deref(),
            Some(&b"secret".to_vec())
        );
        for broken in ["", "-----BEGIN TELLAL SEALED SECRET-----\n", &sealed[..sealed.len() / 2]] {
            assert!(passphrase("çok gizli").open(SEALED_SECRET, broken).is_err());
        }
    }

    #[test]
    fn a_private_key_comes_back_and_a_wrong_passphrase_gives_none() {
        let words = passphrase("iki kelime");
        let sealed = AYŞE.device.to_sealed_pem(&words).unwrap();
        assert!(!sealed.contains("BEGIN PRIVATE KEY"));
        let back = PrivateKey::from_sealed_pem(&sealed, &words).unwrap();
        assert_eq!(back.public(), AYŞE.device.public());
        assert!(PrivateKey::from_sealed_pem(&sealed, &passphrase("üç")).is_err());
        assert!(PrivateKey::from_pem(&sealed).is_err());
    }

    #[test]
    fn it_is_the_first_line_and_never_shown() {
        let read = |bytes: &[u8]| Passphrase::read(bytes).unwrap();
        assert!(read(b"s\xc3\xa7ok gizli\r\nrest").unwrap().is(&passphrase("sçok gizli")));
        assert!(read(b"x").unwrap().is(&passphrase("x")));
        assert!(read(b"").is_none() && read(b"\nx").is_none());
        assert!(Passphrase::read(&b"\xff"[..]).is_err());
        assert_eq!(format!("{:?}", passphrase("x")), "Passphrase(…)");
    }

    #[test]
    fn a_random_one_has_32_bytes_can_be_typed_and_is_another_each_time() {
        let random = Passphrase::random();
        let words = random.reveal_for_a_keyring();
        assert_eq!(URL_SAFE_NO_PAD.decode(words).unwrap().len(), 32);
        assert!(words.len() == 43 && words.bytes().all(|byte| byte.is_ascii_graphic()));
        assert!(!random.is(&Passphrase::random()));
    }
}
