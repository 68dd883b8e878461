#![allow(clippy::unwrap_used, reason = "a test may")]

use aws_lc_rs::encoding::{AsDer as _, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, ECDSA_P521_SHA512_ASN1_SIGNING,
    EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PSS_SHA256, RsaKeyPair,
};

use super::*;

const SERVER: ServerId = ServerId::new([0x5e; 32]);
const LOG_KEY: [u8; 32] = [0x10; 32];

fn spki(der: &PublicKeyX509Der<'_>) -> Vec<u8> {
    der.as_ref().to_vec()
}

/// A certificate by each kind of key.
fn certificates() -> Vec<LogCertificate> {
    let (input, random) = (input(SERVER, &LOG_KEY), SystemRandom::new());
    let certificate = |scheme, tls_key: Vec<u8>, signature: Vec<u8>| LogCertificate {
        server: SERVER,
        log_key: LOG_KEY,
        tls_key: tls_key.into(),
        scheme,
        signature: signature.into(),
    };
    let mut made = Vec::new();
    for (scheme, algorithm) in [
        (0x0403, &ECDSA_P256_SHA256_ASN1_SIGNING),
        (0x0503, &ECDSA_P384_SHA384_ASN1_SIGNING),
        (0x0603, &ECDSA_P521_SHA512_ASN1_SIGNING),
    ] {
        let pair = EcdsaKeyPair::generate(algorithm).unwrap();
        let signature = pair.sign(&random, &input).unwrap().as_ref().to_vec();
        made.push(certificate(scheme, spki(&pair.public_key().as_der().unwrap()), signature));
    }
    let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    let mut signature = vec![0; pair.public_modulus_len()];
    pair.sign(&RSA_PSS_SHA256, &random, &input, &mut signature).unwrap();
    made.push(certificate(0x0804, spki(&pair.public_key().as_der().unwrap()), signature));
    let pair = Ed25519KeyPair::generate().unwrap();
    let signature = pair.sign(&input).as_ref().to_vec();
    made.push(certificate(0x0807, spki(&pair.public_key().as_der().unwrap()), signature));
    made
}

#[test]
fn a_tls_key_of_each_kind_signs_for_one_log_key_of_one_server() {
    let all = certificates();
    assert_eq!(all.iter().map(|one| one.scheme).collect::<Vec<_>>(), schemes());
    for (good, other) in all.iter().zip(all.iter().cycle().skip(1)) {
        assert_eq!(verify(good), Ok(LogKey { server: SERVER, public: LOG_KEY }));
        let mut bad = vec![
            LogCertificate { server: ServerId::new([0x5f; 32]), ..good.clone() },
            LogCertificate { log_key: [0x11; 32], ..good.clone() },
            LogCertificate { tls_key: other.tls_key.clone(), ..good.clone() },
            LogCertificate { signature: other.signature.clone(), ..good.clone() },
            LogCertificate { signature: Vec::new().into(), ..good.clone() },
            LogCertificate { signature: vec![0; 2000].into(), ..good.clone() },
        ];
        let others = schemes().into_iter().chain([0, 0x0401]).filter(|scheme| *scheme != good.scheme);
        bad.extend(others.map(|scheme| LogCertificate { scheme, ..good.clone() }));
        for bad in bad {
            assert_eq!(verify(&bad), Err(BadSignature), "{bad:?}");
        }
    }
}
