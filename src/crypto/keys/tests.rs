use aws_lc_rs::rsa::{OAEP_SHA256_MGF1SHA256, OaepPublicEncryptingKey, PublicEncryptingKey};
use aws_lc_rs::signature::{RSA_PSS_2048_8192_SHA256, UnparsedPublicKey};
use proptest::prelude::*;
use rsa::pkcs8::{DecodePrivateKey as _, EncodePublicKey as _};
use rsa::pss::{Signature, SigningKey, VerifyingKey};
use rsa::signature::{RandomizedSigner as _, SignatureEncoding as _, Verifier as _};
use rsa::{BoxedUint, Oaep, RsaPrivateKey, RsaPublicKey};
use sha2::Sha256;

use super::*;
use crate::crypto::test_keys::{AYŞE, BURAK};
use crate::crypto::{CannotOpen, MessageSecret, Purpose};

/// An SPKI with a modulus of so many bits, which need not be a product of two primes to be looked at.
fn spki(bits: usize, exponent: u64) -> Vec<u8> {
    let mut modulus = vec![0xff; bits.div_ceil(8)];
    modulus[0] = 0xff >> (modulus.len() * 8 - bits);
    let precision = u32::try_from(modulus.len() * 8).unwrap();
    let modulus = BoxedUint::from_be_slice(&modulus, precision).unwrap();
    let key = RsaPublicKey::new(modulus, BoxedUint::from(exponent)).unwrap();
    key.to_public_key_der().unwrap().as_bytes().to_vec()
}

#[test]
fn only_2048_to_4096_bits_and_65537_are_accepted() {
    for bits in [2048, 3072, 4096] {
        assert_eq!(PublicKey::from_spki(&spki(bits, 65537)).unwrap().bits(), bits);
    }
    for bits in [1024, 2047, 4097, 8192] {
        let refused = PublicKey::from_spki(&spki(bits, 65537)).unwrap_err();
        assert!(matches!(refused, KeyError::Bits(_) | KeyError::Encoding), "{bits}: {refused}");
        assert!(matches!(PrivateKey::generate(bits), Err(KeyError::Bits(_))));
    }
    for exponent in [3, 17, 65539, (1 << 32) + 1] {
        assert_eq!(PublicKey::from_spki(&spki(2048, exponent)), Err(KeyError::Exponent));
    }
    let small = RsaPrivateKey::new(&mut rand::rng(), 1024).unwrap();
    let pem = rsa::pkcs8::EncodePrivateKey::to_pkcs8_pem(&small, rsa::pkcs8::LineEnding::LF).unwrap();
    assert!(matches!(PrivateKey::from_pem(&pem), Err(KeyError::Bits(1024))));
}

#[test]
fn a_key_has_one_encoding() {
    let der = AYŞE.device.public().spki().to_vec();
    assert_eq!(PublicKey::from_spki(&der).unwrap(), *AYŞE.device.public());

    let mut trailing = der.clone();
    trailing.push(0);
    // The outer length in three bytes instead of two.
    let long = [&[0x30, 0x83, 0x00], &der[2..]].concat();
    // The same modulus under the name of RSASSA-PSS keys (RFC 4055), with parameters and as it should be.
    let oid = der.windows(9).position(|at| at == [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1]).unwrap();
    let mut pss = der.clone();
    pss[oid + 8] = 10;
    let mut bare_pss = pss.clone();
    bare_pss.drain(oid + 9..oid + 11);
    bare_pss[3] -= 2;
    bare_pss[5] -= 2;
    for wrong in [trailing, long, pss, bare_pss, der[..der.len() - 1].to_vec(), Vec::new(), vec![0x30; 2000]]
    {
        assert_eq!(PublicKey::from_spki(&wrong), Err(KeyError::Encoding));
    }
}

#[test]
fn a_private_key_reads_back_from_its_pem() {
    let pem = AYŞE.device.to_pem();
    assert!(pem.starts_with("-----BEGIN PRIVATE KEY-----\n"));
    let again = PrivateKey::from_pem(&pem).unwrap();
    assert_eq!(again.public(), AYŞE.device.public());
    assert_eq!(*again.to_pem(), *pem);
    let cut = &pem[..pem.len() / 2];
    for wrong in ["", "ayşe", cut, &pem.replace("PRIVATE", "PUBLIC"), &pem.replacen('A', "B", 20)] {
        assert!(PrivateKey::from_pem(wrong).is_err());
    }
}

#[test]
fn debug_shows_ids_and_nothing_else() {
    let device = &AYŞE.device;
    let id = device.public().id();
    assert_eq!(format!("{device:?}"), format!("PrivateKey(of {id})"));
    assert_eq!(format!("{device:#?}"), format!("PrivateKey(of {id})"));
    assert_eq!(format!("{:?}", device.public()), format!("PublicKey({id})"));
}

#[test]
fn private_keys_can_be_shared_between_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<PrivateKey>();
    shared::<PublicKey>();
}

#[test]
fn a_signature_holds_for_its_key_purpose_and_parts() {
    let (ayşe, burak) = (&AYŞE.device, &BURAK.device);
    let signature = ayşe.sign(Purpose::Login, &[b"one", b"two"]).unwrap();
    assert_eq!(ayşe.public().verify(Purpose::Login, &[b"one", b"two"], &signature), Ok(()));
    assert_eq!(burak.public().verify(Purpose::Login, &[b"one", b"two"], &signature), Err(BadSignature));
    assert_eq!(ayşe.public().verify(Purpose::Envelope, &[b"one", b"two"], &signature), Err(BadSignature));
    assert_eq!(ayşe.public().verify(Purpose::Login, &[b"one", b"too"], &signature), Err(BadSignature));
    let longer = [&[0], signature.as_slice()].concat();
    for wrong in [&signature[1..], &longer, &[], &vec![0; 256], &vec![0xff; 256]] {
        assert_eq!(ayşe.public().verify(Purpose::Login, &[b"one", b"two"], wrong), Err(BadSignature));
    }
}

#[test]
fn a_wrap_opens_with_its_key_and_its_header() {
    let secret = MessageSecret::generate();
    let wrapped = AYŞE.message.public().wrap(&[1; 32], &secret).unwrap();
    let opened = AYŞE.message.unwrap_key(&[1; 32], &wrapped).unwrap();
    assert_eq!(opened.expose_key_bytes(), secret.expose_key_bytes());
    assert_eq!(AYŞE.message.unwrap_key(&[2; 32], &wrapped).unwrap_err(), CannotOpen);
    assert_eq!(BURAK.message.unwrap_key(&[1; 32], &wrapped).unwrap_err(), CannotOpen);
    let longer = [&[0], wrapped.as_slice()].concat();
    for wrong in [&wrapped[1..], &longer, &[], &vec![0; 256], &vec![0xff; 256]] {
        assert_eq!(AYŞE.message.unwrap_key(&[1; 32], wrong).unwrap_err(), CannotOpen);
    }
    // What comes out has to be a Fernet key: 32 bytes, neither more nor fewer.
    let label = Purpose::Wrap.input(&[&[1; 32]]);
    for length in [0, 31, 33] {
        let wrapped = AYŞE.message.public().wrap_raw(&label, &vec![7; length]).unwrap();
        assert_eq!(AYŞE.message.unwrap_key(&[1; 32], &wrapped).unwrap_err(), CannotOpen);
    }
}

/// Every private operation is done by both libraries, and each one's result is read by the other.
fn cross_check(key: &PrivateKey, message: &[u8], secret: &[u8; 32]) {
    let other = RsaPrivateKey::from_pkcs8_pem(&key.to_pem()).unwrap();

    let ours = key.sign_raw(message).unwrap();
    for (salt, accepted) in [(20, false), (31, false), (32, true), (33, false)] {
        let verifier = VerifyingKey::<Sha256>::new_with_salt_len(other.to_public_key(), salt);
        let verdict = verifier.verify(message, &Signature::try_from(ours.as_slice()).unwrap());
        assert_eq!(verdict.is_ok(), accepted, "salt of {salt}");
    }
    let theirs = SigningKey::<Sha256>::new(other.clone()).sign_with_rng(&mut rand::rng(), message).to_vec();
    key.public().verify_raw(message, &theirs).unwrap();
    let pkcs1 = rsa::pkcs1::EncodeRsaPublicKey::to_pkcs1_der(&other.to_public_key()).unwrap();
    let second = UnparsedPublicKey::new(&RSA_PSS_2048_8192_SHA256, pkcs1.as_bytes());
    second.verify(message, &ours).unwrap();
    second.verify(message, &theirs).unwrap();

    let label = Purpose::Wrap.input(&[secret]);
    let wrapped = key.public().wrap_raw(&label, secret).unwrap();
    assert_eq!(**key.unwrap_raw(&label, &wrapped).unwrap(), *secret);
    assert_eq!(other.decrypt(Oaep::<Sha256>::new_with_label(label.as_slice()), &wrapped).unwrap(), secret);
    let public = PublicEncryptingKey::from_der(key.public().spki()).unwrap();
    let public = OaepPublicEncryptingKey::new(public).unwrap();
    let mut buffer = vec![0; public.ciphertext_size()];
    let wrapped = public.encrypt(&OAEP_SHA256_MGF1SHA256, secret, &mut buffer, Some(&label)).unwrap();
    assert_eq!(**key.unwrap_raw(&label, wrapped).unwrap(), *secret);
}

#[test]
fn the_two_libraries_agree_on_every_accepted_size() {
    for bits in [2048, 3072, 4096] {
        cross_check(&PrivateKey::generate(bits).unwrap(), b"merhaba", &[7; 32]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn the_two_libraries_agree(
        message in prop::collection::vec(any::<u8>(), 0..300),
        secret in any::<[u8; 32]>(),
    ) {
        cross_check(&AYŞE.message, &message, &secret);
    }
}

proptest! {
    #[test]
    fn no_bytes_make_key_parsing_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..400), at in 0..294_usize) {
        let _ = PublicKey::from_spki(&bytes);
        let mut der = AYŞE.device.public().spki().to_vec();
        bytes.truncate(8);
        let end = (at + bytes.len()).min(der.len());
        let at = at.min(end);
        der.splice(at..end, bytes);
        if let Ok(key) = PublicKey::from_spki(&der) {
            prop_assert_eq!(key.spki(), der.as_slice());
        }
    }
}
