//! Secrets are wiped when they go: by their types, and looked for where they were.

use std::fs::File;
use std::os::unix::fs::FileExt as _;

use zeroize::{ZeroizeOnDrop, Zeroizing};

use super::{MessageSecret, Passphrase, PrivateKey};

/// Compiles for what is wiped alone.
fn is_wiped<T: ZeroizeOnDrop>() {}

#[test]
fn every_type_of_a_secret_is_wiped_when_it_goes() {
    is_wiped::<PrivateKey>();
    is_wiped::<MessageSecret>();
    is_wiped::<Passphrase>();
    // The history's key, plaintexts, and what secrets are encoded into.
    is_wiped::<Zeroizing<String>>();
    is_wiped::<Zeroizing<Vec<u8>>>();
    is_wiped::<Zeroizing<[u8; 32]>>();
    // What a private key is on its way from a file.
    is_wiped::<rsa::RsaPrivateKey>();
    is_wiped::<rsa::pkcs8::SecretDocument>();
}

/// How many bytes of a secret are left where it was, once it has gone. Its memory is looked at as another process
/// would: nothing is put there by that.
fn left_of<T>(secret: T, bytes: impl Fn(&T) -> &[u8]) -> usize {
    let kept = bytes(&secret).to_vec();
    let (memory, place) = (File::open("/proc/self/mem").unwrap(), bytes(&secret).as_ptr() as u64);
    let mut found = vec![0; kept.len()];
    memory.read_exact_at(&mut found, place).unwrap();
    assert_eq!(found, kept, "this is where it is");
    drop(secret);
    match memory.read_exact_at(&mut found, place) {
        Ok(()) => found.iter().zip(&kept).filter(|(found, kept)| found == kept).count(),
        // The memory itself has been given back.
        Err(_) => 0,
    }
}

#[test]
#[cfg(target_os = "linux")]
fn nothing_is_left_where_a_secret_was() {
    // What is no secret stays, but for a few bytes of the allocator's.
    let text = "merhaba".repeat(16);
    assert!(left_of(text, |text| text.as_bytes()) > 64);
    for _ in 0..8 {
        assert!(left_of(Box::new(MessageSecret::generate()), |secret| secret.expose_key_bytes()) < 8);
        assert!(left_of(Passphrase::random(), |words| words.reveal_for_a_keyring().as_bytes()) < 8);
    }
    let key = PrivateKey::generate(2048).unwrap();
    assert!(left_of(key.to_pem(), |pem| pem.as_bytes()) < 64);
    assert!(left_of(key, PrivateKey::pem_bytes) < 64);
}
