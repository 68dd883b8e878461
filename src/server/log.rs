//! The transparency log's key, and the checkpoints signed with it.
//!
//! A checkpoint is made of the durable leaves whenever it is asked for. Ed25519 gives one head one signature, so
//! that there is nothing about it to store: after a crash between a leaf and its first checkpoint the same one is
//! made as would have been.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject as _;

use super::tls::{Identity, TlsError, write};
use crate::crypto::{LogKey, certificate};
use crate::model::{Head, LogCertificate, ServerId};

/// What a server signs its log with.
#[derive(Debug)]
pub struct LogSigner {
    pair: Ed25519KeyPair,
    public: [u8; 32],
    /// The newest checkpoint.
    newest: Mutex<Option<(Head, String)>>,
}

impl LogSigner {
    /// Takes the key from this folder, having made it there if it has none.
    ///
    /// # Errors
    /// [`TlsError`] when the folder can't be used, or holds something else.
    pub fn from_folder(folder: &Path) -> Result<Self, TlsError> {
        let path = folder.join("log-key.pem");
        if !path.exists() {
            let made = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519);
            let made = made.map_err(|error| TlsError::Key(error.to_string()))?;
            write(&path, &made.serialize_pem())?;
        }
        let failed = |cause: String| TlsError::File { path: path.clone(), cause };
        let key = PrivatePkcs8KeyDer::from_pem_file(&path).map_err(|error| failed(error.to_string()))?;
        let pair = Ed25519KeyPair::from_pkcs8(key.secret_pkcs8_der())
            .map_err(|error| failed(format!("not an Ed25519 key ({error})")))?;
        let public = pair.public_key().as_ref().try_into();
        let public = public.map_err(|_| failed("not an Ed25519 key".to_owned()))?;
        Ok(Self { pair, public, newest: Mutex::default() })
    }

    /// The public half, which clients pin.
    pub fn public(&self) -> [u8; 32] {
        self.public
    }

    /// What shows clients that this is the key of this server's log: signed by the TLS key.
    ///
    /// # Errors
    /// [`TlsError::Key`] when that key can't sign.
    pub fn certify(&self, server: ServerId, identity: &Identity) -> Result<LogCertificate, TlsError> {
        let (scheme, signature) = identity.sign(&certificate::input(server, &self.public))?;
        Ok(LogCertificate {
            server,
            log_key: self.public,
            tls_key: identity.spki.clone().into(),
            scheme,
            signature: signature.into(),
        })
    }

    /// The signed checkpoint of a head. Only heads of durable leaves may come here.
    pub(super) fn checkpoint(&self, server: ServerId, head: Head) -> String {
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, note)) = newest.as_ref()
            && *known == head
        {
            return note.clone();
        }
        let key = LogKey { server, public: self.public };
        let text = key.text(&head);
        let note = key.note(&text, self.pair.sign(text.as_bytes()).as_ref());
        *newest = Some((head, note.clone()));
        note
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::server::tls;

    #[test]
    fn the_log_key_is_made_once_and_kept_to_its_owner_and_signs_one_head_one_way() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log-key.pem");
        let (server, head) = (ServerId::new([5; 32]), Head { size: 3, root: [7; 32] });
        let first = LogSigner::from_folder(folder.path()).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let note = first.checkpoint(server, head);
        let again = LogSigner::from_folder(folder.path()).unwrap();
        assert_eq!(again.public(), first.public());
        assert_eq!(again.checkpoint(server, head), note, "after a crash as before it");
        assert_eq!(LogKey { server, public: first.public() }.verify(&note), Ok(head));
        fs::write(&path, "no key").unwrap();
        assert!(LogSigner::from_folder(folder.path()).is_err());
    }

    #[test]
    fn a_tls_key_of_each_kind_that_a_server_can_have_certifies_the_log_key() {
        for algorithm in [
            &rcgen::PKCS_ECDSA_P256_SHA256,
            &rcgen::PKCS_ECDSA_P384_SHA384,
            &rcgen::PKCS_ED25519,
            &rcgen::PKCS_RSA_SHA256,
        ] {
            let folder = tempfile::tempdir().unwrap();
            let log = LogSigner::from_folder(folder.path()).unwrap();
            let key = rcgen::KeyPair::generate_for(algorithm).unwrap();
            fs::write(folder.path().join("tls-key.pem"), key.serialize_pem()).unwrap();
            let identity = tls::from_folder(folder.path()).unwrap();
            let server = ServerId::new([5; 32]);
            let certified = log.certify(server, &identity).unwrap();
            assert_eq!(certificate::verify(&certified), Ok(LogKey { server, public: log.public() }));
            assert_eq!(certified.tls_key_id(), identity.fingerprint);
        }
    }
}
