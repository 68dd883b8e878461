//! TLS 1.3 and nothing older, without early data; the server's key, and the fingerprint that clients pin.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::ParsedCertificate;
use rustls::sign::SigningKey;
use rustls::{ServerConfig, SignatureScheme};
use sha2::{Digest as _, Sha256};

use crate::crypto::certificate;
use crate::model::KeyId;
use crate::protocol::ALPN;

/// Why the server has no key to show.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file can't be read or written.
    #[error("can't use {path}: {cause}", path = path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the system says.
        cause: String,
    },
    /// The certificate or key is not one, or they don't belong together.
    #[error("the TLS certificate or key can't be used: {0}")]
    Key(String),
}

/// What a server shows its clients.
#[derive(Clone, Debug)]
pub struct Identity {
    /// For the acceptor.
    pub config: Arc<ServerConfig>,
    /// The SHA-256 of the key's SPKI.
    pub fingerprint: KeyId,
    /// The SPKI (RFC 5280, section 4.1), in DER.
    pub(super) spki: Vec<u8>,
    key: Arc<dyn SigningKey>,
}

impl Identity {
    /// Signs something else than a handshake, which has to say what it is for. With the signature comes the TLS
    /// SignatureScheme that it was made by.
    pub(super) fn sign(&self, message: &[u8]) -> Result<(u16, Vec<u8>), TlsError> {
        let schemes = certificate::schemes().map(SignatureScheme::from);
        let kind = || TlsError::Key("it is of a kind that can't sign for the transparency log".to_owned());
        let signer = self.key.choose_scheme(&schemes).ok_or_else(kind)?;
        let signature = signer.sign(message).map_err(|error| TlsError::Key(error.to_string()))?;
        Ok((signer.scheme().into(), signature))
    }
}

/// Takes the key and certificate from this folder, having made them there if it has none.
///
/// # Errors
/// [`TlsError`] when the folder can't be used, or holds something else.
pub fn from_folder(folder: &Path) -> Result<Identity, TlsError> {
    let (certificate, key) = (folder.join("tls-cert.pem"), folder.join("tls-key.pem"));
    if !key.exists() || !certificate.exists() {
        make(&certificate, &key)?;
    }
    from_files(&certificate, &key)
}

/// Takes a key and certificate chain from PEM files.
///
/// # Errors
/// [`TlsError`] when they can't be read or don't belong together.
pub fn from_files(certificate: &Path, key: &Path) -> Result<Identity, TlsError> {
    let unreadable = |path: &Path, error: &dyn std::fmt::Display| TlsError::File {
        path: path.to_owned(),
        cause: error.to_string(),
    };
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect)
        .map_err(|error| unreadable(certificate, &error))?;
    let first = chain.first().ok_or_else(|| unreadable(certificate, &"there is no certificate in it"))?;
    let invalid = |error: rustls::Error| TlsError::Key(error.to_string());
    let spki = ParsedCertificate::try_from(first).map_err(invalid)?.subject_public_key_info();
    let fingerprint = KeyId::new(Sha256::digest(&spki).into());
    let key = PrivateKeyDer::from_pem_file(key).map_err(|error| unreadable(key, &error))?;
    let signing = any_supported_type(&key).map_err(invalid)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(invalid)?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(invalid)?;
    config.alpn_protocols = vec![ALPN.to_vec()];
    // Logins are bound to the connection: resuming one would save little and keep state.
    config.send_tls13_tickets = 0;
    Ok(Identity { config: Arc::new(config), fingerprint, spki: spki.to_vec(), key: signing })
}

/// The certificate is a formality: clients pin the key.
fn make(certificate: &Path, key: &Path) -> Result<(), TlsError> {
    let failed = |error: rcgen::Error| TlsError::Key(error.to_string());
    let pair = match fs::read_to_string(key) {
        Ok(pem) => rcgen::KeyPair::from_pem(&pem).map_err(failed)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            rcgen::KeyPair::generate().map_err(failed)?
        }
        Err(error) => return Err(TlsError::File { path: key.to_owned(), cause: error.to_string() }),
    };
    let params = rcgen::CertificateParams::new(vec!["tellal".to_owned()]).map_err(failed)?;
    let signed = params.self_signed(&pair).map_err(failed)?;
    // The key is durable first: its fingerprint is what clients hold the server to.
    write(key, &pair.serialize_pem())?;
    write(certificate, &signed.pem())
}

/// Writes a file that is either whole or not there, for the owner's eyes only.
pub(super) fn write(path: &Path, text: &str) -> Result<(), TlsError> {
    let new = path.with_extension("new");
    let written = (|| {
        let mut file =
            fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&new, path)?;
        path.parent().map_or(Ok(()), |folder| fs::File::open(folder)?.sync_all())
    })();
    written.map_err(|error: io::Error| TlsError::File { path: path.to_owned(), cause: error.to_string() })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn the_key_is_made_once_and_kept_to_its_owner() {
        let folder = tempfile::tempdir().unwrap();
        let first = from_folder(folder.path()).unwrap().fingerprint;
        assert_eq!(from_folder(folder.path()).unwrap().fingerprint, first);
        let mode = fs::metadata(folder.path().join("tls-key.pem")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        fs::remove_file(folder.path().join("tls-cert.pem")).unwrap();
        assert_eq!(from_folder(folder.path()).unwrap().fingerprint, first, "a new certificate, the same key");
        fs::write(folder.path().join("tls-key.pem"), "no key").unwrap();
        assert!(from_folder(folder.path()).is_err());
    }
}
