//! Wycheproof's vectors, run against the functions that wraps and signatures go through.

use rsa::pkcs8::DecodePrivateKey as _;
use serde_json::Value;
use sha2::Sha256;

use super::{PrivateKey, PublicKey};
use crate::crypto::test_keys::unhex;

/// Calls `check` with each group of a file and each of the group's tests, and counts the tests.
fn each(file: &str, mut check: impl FnMut(&Value, &Value)) {
    let file: Value = serde_json::from_str(file).unwrap();
    let mut count = 0;
    for group in file["testGroups"].as_array().unwrap() {
        for test in group["tests"].as_array().unwrap() {
            check(group, test);
            count += 1;
        }
    }
    assert_eq!(count, file["numberOfTests"].as_u64().unwrap());
}

fn bytes(value: &Value) -> Vec<u8> {
    unhex(value.as_str().unwrap())
}

fn oaep(file: &str) {
    let mut keys: Option<(PrivateKey, rsa::RsaPrivateKey)> = None;
    each(file, |group, test| {
        let (key, other) = keys.get_or_insert_with(|| {
            let pem = group["privateKeyPem"].as_str().unwrap();
            (PrivateKey::from_pem(pem).unwrap(), rsa::RsaPrivateKey::from_pkcs8_pem(pem).unwrap())
        });
        let (label, message, wrapped) = (bytes(&test["label"]), bytes(&test["msg"]), bytes(&test["ct"]));
        let opened = key.unwrap_raw(&label, &wrapped);
        let by_other = other.decrypt(rsa::Oaep::<Sha256>::new_with_label(label.as_slice()), &wrapped);
        if test["result"] == "valid" {
            assert_eq!(**opened.as_ref().unwrap(), message, "{test}");
            assert_eq!(by_other.unwrap(), message, "{test}");
            let again = key.public().wrap_raw(&label, &message).unwrap();
            assert_eq!(**key.unwrap_raw(&label, &again).as_ref().unwrap(), message, "{test}");
        } else {
            assert!(opened.is_err() && by_other.is_err(), "{test}");
        }
    });
}

#[test]
fn oaep_2048() {
    oaep(include_str!("../../../tests/vectors/wycheproof/rsa_oaep_2048_sha256_mgf1sha256_test.json"));
}

#[test]
fn oaep_3072() {
    oaep(include_str!("../../../tests/vectors/wycheproof/rsa_oaep_3072_sha256_mgf1sha256_test.json"));
}

fn pss(file: &str) {
    each(file, |group, test| {
        assert_eq!(group["sLen"], 32);
        let key = PublicKey::from_spki(&bytes(&group["publicKeyDer"])).unwrap();
        let verdict = key.verify_raw(&bytes(&test["msg"]), &bytes(&test["sig"]));
        assert_eq!(verdict.is_ok(), test["result"] == "valid", "{test}");
    });
}

#[test]
fn pss_2048() {
    pss(include_str!("../../../tests/vectors/wycheproof/rsa_pss_2048_sha256_mgf1_32_test.json"));
}

#[test]
fn pss_3072() {
    pss(include_str!("../../../tests/vectors/wycheproof/rsa_pss_3072_sha256_mgf1_32_test.json"));
}
