//! Keys and helpers for tests. Keys are made once: an RSA key pair takes a noticeable part of a second.

use std::sync::LazyLock;

use super::PrivateKey;
use super::record::{self, Account, MessageKey};
use crate::model::Millis;

/// A person with one device, as a test needs one.
pub(crate) struct Person {
    pub(crate) identity: PrivateKey,
    pub(crate) device: PrivateKey,
    pub(crate) message: PrivateKey,
    pub(crate) account: Account,
    pub(crate) message_key: MessageKey,
}

/// When everybody's records were made.
pub(crate) const THEN: Millis = Millis(1_795_233_600_000);

pub(crate) static AYŞE: LazyLock<Person> = LazyLock::new(|| person("ayşe"));
pub(crate) static BURAK: LazyLock<Person> = LazyLock::new(|| person("burak"));
pub(crate) static ZOÉ: LazyLock<Person> = LazyLock::new(|| person("zoé"));

fn person(nickname: &str) -> Person {
    let [identity, device, message] = std::array::from_fn(|_| PrivateKey::generate(2048).unwrap());
    let chain =
        [record::register(&identity, device.public(), nickname.parse().unwrap(), None, THEN).unwrap()];
    let account = record::verify_account(&chain).unwrap();
    let key = record::announce_message_key(&device, account.id, message.public(), THEN, None).unwrap();
    let message_key = record::verify_message_key(&account, &key).unwrap();
    Person { identity, device, message, account, message_key }
}

/// Reads hexadecimal digits.
pub(crate) fn unhex(digits: &str) -> Vec<u8> {
    let pairs = digits.as_bytes().chunks(2);
    pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}
