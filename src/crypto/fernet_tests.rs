use proptest::prelude::*;
use serde::Deserialize;

use super::*;

/// One of the specification's vectors. `now` is RFC 3339.
#[derive(Deserialize)]
struct Vector {
    #[serde(default)]
    desc: String,
    token: String,
    now: crate::model::Millis,
    #[serde(default)]
    ttl_sec: u64,
    #[serde(default)]
    src: String,
    secret: String,
}

impl Vector {
    fn secret(&self) -> MessageSecret {
        MessageSecret::from_bytes(&URL_SAFE.decode(&self.secret).unwrap().try_into().unwrap())
    }

    fn now(&self) -> u64 {
        self.now.0 / 1000
    }
}

fn vectors(file: &str) -> Vec<Vector> {
    serde_json::from_str(file).unwrap()
}

/// The library chooses its IV itself, so `generate` is checked by opening its token, and by a token of our
/// own of equal structure.
#[test]
fn the_specifications_generate_vector() {
    let vectors = vectors(include_str!("../../tests/vectors/fernet/generate.json"));
    assert_eq!(vectors.len(), 1);
    for vector in vectors {
        let token = URL_SAFE.decode(&vector.token).unwrap();
        assert_eq!(token[1..9], vector.now().to_be_bytes());
        assert_eq!(**vector.secret().open(&token).unwrap(), *vector.src.as_bytes());
        let ours = vector.secret().seal(vector.src.as_bytes()).unwrap();
        assert_eq!((ours.len(), ours[0]), (token.len(), token[0]));
        assert_eq!(**vector.secret().open(&ours).unwrap(), *vector.src.as_bytes());
    }
}

#[test]
fn the_specifications_verify_vector() {
    let vectors = vectors(include_str!("../../tests/vectors/fernet/verify.json"));
    assert_eq!(vectors.len(), 1);
    for vector in vectors {
        let token = URL_SAFE.decode(&vector.token).unwrap();
        let opened = vector.secret().open_at(&token, Some(vector.ttl_sec), vector.now()).unwrap();
        assert_eq!(**opened, *vector.src.as_bytes());
        assert_eq!(**vector.secret().open(&token).unwrap(), *vector.src.as_bytes());
    }
}

/// Everything that is wrong with a token is refused. Its age alone is not: two of the vectors are right but
/// for their time, which `open` leaves to the signed header, and `open_at` judges as the specification does.
#[test]
fn the_specifications_invalid_vectors() {
    let vectors = vectors(include_str!("../../tests/vectors/fernet/invalid.json"));
    assert_eq!(vectors.len(), 8);
    let mut only_untimely = Vec::new();
    for vector in vectors {
        let Ok(token) = URL_SAFE.decode(&vector.token) else {
            assert_eq!(vector.desc, "invalid base64");
            continue;
        };
        let judged = vector.secret().open_at(&token, Some(vector.ttl_sec), vector.now());
        assert_eq!(judged, Err(CannotOpen), "{}", vector.desc);
        if vector.secret().open(&token).is_ok() {
            only_untimely.push(vector.desc);
        }
    }
    assert_eq!(only_untimely, ["far-future TS (unacceptable clock skew)", "expired TTL"]);
}

/// The library adds to the token's time unchecked; a member who knows the key can put any time there.
#[test]
fn the_end_of_time_does_not_overflow() {
    let secret = MessageSecret::generate();
    for time in [0, u64::MAX - 60, u64::MAX - 59, u64::MAX] {
        let token = secret.fernet().unwrap().encrypt_at_time(b"merhaba", time);
        let token = URL_SAFE.decode(token).unwrap();
        assert_eq!(**secret.open(&token).unwrap(), *b"merhaba");
    }
}

#[test]
fn debug_hides_the_key() {
    let secret = MessageSecret::from_bytes(&[0x41; 32]);
    assert_eq!(format!("{secret:?} {secret:#?}"), "MessageSecret(hidden) MessageSecret(hidden)");
}

#[test]
fn a_key_is_committed_to_as_a_whole() {
    let one = MessageSecret::from_bytes(&[1; 32]);
    assert_eq!(one.commitment(), one.clone().commitment());
    let mut bytes = [1; 32];
    for at in 0..32 {
        bytes[at] ^= 1;
        assert_ne!(MessageSecret::from_bytes(&bytes).commitment(), one.commitment());
        bytes[at] ^= 1;
    }
}

proptest! {
    #[test]
    fn what_was_sealed_opens_with_its_key_alone(plain in prop::collection::vec(any::<u8>(), 0..500)) {
        let secret = MessageSecret::generate();
        let token = secret.seal(&plain).unwrap();
        prop_assert_eq!(&**secret.open(&token).unwrap(), &plain);
        prop_assert!(MessageSecret::generate().open(&token).is_err());
    }

    #[test]
    fn no_bytes_make_opening_panic(token in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(MessageSecret::from_bytes(&[1; 32]).open(&token).is_err());
    }
}
