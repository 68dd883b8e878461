//! Whose a log's key is: a server's TLS key, which its users pin, signs for the key of the server's transparency log.
//!
//! Without that, a server could show each of its users a log of their own under a key of its own, and none of them
//! could tell what another one's log key is from what anybody makes up. What is signed is
//! `tellal log key v1 || 0x00 || server id || log key`. A TLS 1.3 handshake signs nothing that begins so (RFC 8446,
//! section 4.4.3: 64 spaces), so that neither signature can stand for the other.
//!
//! Not here: whether the TLS key is the one that is pinned, or that the handshake has shown.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P384_SHA384_ASN1, ECDSA_P521_SHA512_ASN1, ED25519,
    RSA_PSS_2048_8192_SHA256, UnparsedPublicKey, VerificationAlgorithm,
};

use super::{BadSignature, LogKey, Purpose};
use crate::model::{LogCertificate, ServerId};

/// Bytes of the largest TLS key, and of the largest signature, that are looked at: twice those of RSA with 4096 bits.
const LIMIT: usize = 1100;

/// The ways to sign, by their TLS SignatureScheme (RFC 8446, section 4.2.3): one for each kind of key.
const SCHEMES: [(u16, &dyn VerificationAlgorithm); 5] = [
    (0x0403, &ECDSA_P256_SHA256_ASN1),
    (0x0503, &ECDSA_P384_SHA384_ASN1),
    (0x0603, &ECDSA_P521_SHA512_ASN1),
    (0x0804, &RSA_PSS_2048_8192_SHA256),
    (0x0807, &ED25519),
];

/// The schemes that are taken.
pub fn schemes() -> [u16; 5] {
    SCHEMES.map(|(scheme, _)| scheme)
}

/// What the TLS key signs.
pub fn input(server: ServerId, log_key: &[u8; 32]) -> Vec<u8> {
    Purpose::LogKey.input(&[server.as_bytes(), log_key])
}

/// The log's key, if the TLS key that the certificate names has signed for it.
///
/// # Errors
/// [`BadSignature`] for everything else.
pub fn verify(certificate: &LogCertificate) -> Result<LogKey, BadSignature> {
    let LogCertificate { server, log_key, tls_key, scheme, signature } = certificate;
    if tls_key.len() > LIMIT || signature.len() > LIMIT {
        return Err(BadSignature);
    }
    let (_, algorithm) = SCHEMES.into_iter().find(|(known, _)| known == scheme).ok_or(BadSignature)?;
    UnparsedPublicKey::new(algorithm, tls_key.as_slice())
        .verify(&input(*server, log_key), signature)
        .map_err(|_| BadSignature)?;
    Ok(LogKey { server: *server, public: *log_key })
}

#[cfg(test)]
#[path = "certificate_tests.rs"]
mod tests;
