use proptest::prelude::*;

use super::*;
use crate::crypto::test_keys::{AYŞE, BURAK, THEN};

fn registration() -> AccountRecord {
    AccountRecord {
        version: VERSION,
        account: AYŞE.account.id,
        index: 0,
        previous: None,
        made_at: THEN,
        kind: AccountRecordKind::Registration {
            nickname: "ayşe".parse().unwrap(),
            identity_key: AYŞE.identity.public().spki().to_vec().into(),
            device_key: AYŞE.device.public().spki().to_vec().into(),
            color: None,
        },
    }
}

fn message_key() -> MessageKeyRecord {
    MessageKeyRecord {
        version: VERSION,
        account: AYŞE.account.id,
        device: AYŞE.device.public().id().into(),
        key: AYŞE.message.public().spki().to_vec().into(),
        from: THEN,
        until: THEN.plus(limits::MESSAGE_KEY_LIFE),
        supersedes: None,
    }
}

fn refusal(record: &AccountRecord) -> RecordError {
    verify_account(&[sign_account_record(&AYŞE.identity, record).unwrap()]).unwrap_err()
}

fn key_refusal(record: &MessageKeyRecord) -> RecordError {
    verify_message_key(&AYŞE.account, &sign_message_key(&AYŞE.device, record).unwrap()).unwrap_err()
}

#[test]
fn a_registration_says_who_an_account_is() {
    let chosen: Color = "teal".parse().unwrap();
    let name: Nickname = "小明".parse().unwrap();
    let record = register(&AYŞE.identity, AYŞE.device.public(), name.clone(), Some(chosen), THEN).unwrap();
    let account = verify_account(&[record]).unwrap();
    assert_eq!(account.id, AYŞE.identity.public().id().into());
    assert_eq!((account.nickname.as_str(), account.color, account.since), ("小明", chosen, THEN));
    assert_eq!(account.devices.len(), 1);
    assert_eq!(account.device(&AYŞE.device.public().id().into()).unwrap().key, *AYŞE.device.public());
    assert!(account.device(&BURAK.device.public().id().into()).is_none());

    let plain = verify_account(&[sign_account_record(&AYŞE.identity, &registration()).unwrap()]).unwrap();
    assert_eq!(plain.color, Color::derived(&plain.id));
}

#[test]
fn a_chain_begins_with_its_own_registration() {
    assert_eq!(verify_account(&[]).unwrap_err(), RecordError::Chain);
    assert_eq!(refusal(&AccountRecord { version: 2, ..registration() }), RecordError::Malformed);
    assert_eq!(refusal(&AccountRecord { index: 1, ..registration() }), RecordError::Chain);
    assert_eq!(
        refusal(&AccountRecord { previous: Some([0; 32].into()), ..registration() }),
        RecordError::Chain
    );
    assert_eq!(refusal(&AccountRecord { account: BURAK.account.id, ..registration() }), RecordError::Account);

    let mut one_key = registration();
    let AccountRecordKind::Registration { identity_key, device_key, .. } = &mut one_key.kind;
    device_key.clone_from(identity_key);
    assert_eq!(refusal(&one_key), RecordError::Account);

    let mut no_key = registration();
    let AccountRecordKind::Registration { device_key, .. } = &mut no_key.kind;
    device_key.pop();
    assert_eq!(refusal(&no_key), RecordError::Key(KeyError::Encoding));
}

#[test]
fn only_the_identity_key_signs_a_chain_and_for_no_other_purpose() {
    let bad = RecordError::Signature(BadSignature);
    let signed = sign_account_record(&AYŞE.device, &registration()).unwrap();
    assert_eq!(verify_account(&[signed]).unwrap_err(), bad);
    let body = to_cbor(&registration());
    let signed = sign(&AYŞE.identity, Purpose::MessageKey, body).unwrap();
    assert_eq!(verify_account(&[signed]).unwrap_err(), bad);
}

#[test]
fn nothing_follows_a_registration_yet() {
    let first = sign_account_record(&AYŞE.identity, &registration()).unwrap();
    let previous: [u8; 32] = Sha256::digest(first.body.as_slice()).into();
    let second = AccountRecord { index: 1, previous: Some(previous.into()), ..registration() };
    let refuse = |second: &AccountRecord| {
        let second = sign_account_record(&AYŞE.identity, second).unwrap();
        verify_account(&[first.clone(), second]).unwrap_err()
    };
    assert_eq!(refuse(&second), RecordError::Chain);
    assert_eq!(refuse(&AccountRecord { index: 2, ..second.clone() }), RecordError::Chain);
    assert_eq!(refuse(&AccountRecord { previous: None, ..second.clone() }), RecordError::Chain);
    assert_eq!(refuse(&AccountRecord { account: BURAK.account.id, ..second }), RecordError::Account);
    assert_eq!(verify_account(&[first.clone(), first]).unwrap_err(), RecordError::Chain);
}

#[test]
fn a_message_key_hangs_beneath_its_device() {
    let record = sign_message_key(&AYŞE.device, &message_key()).unwrap();
    let key = verify_message_key(&AYŞE.account, &record).unwrap();
    assert_eq!(key.key, *AYŞE.message.public());
    assert_eq!((key.device, key.supersedes), (AYŞE.device.public().id().into(), None));
    assert!(!key.usable_at(Millis(THEN.0 - 1)) && key.usable_at(THEN));
    assert!(key.usable_at(key.until) && !key.usable_at(Millis(key.until.0 + 1)));

    assert_eq!(verify_message_key(&BURAK.account, &record).unwrap_err(), RecordError::Account);
    let by_identity = sign_message_key(&AYŞE.identity, &message_key()).unwrap();
    let bad = RecordError::Signature(BadSignature);
    assert_eq!(verify_message_key(&AYŞE.account, &by_identity).unwrap_err(), bad);
}

#[test]
fn a_message_key_says_nothing_impossible() {
    let (device, identity) = (AYŞE.device.public(), AYŞE.identity.public());
    let other = BURAK.device.public().id().into();
    assert_eq!(key_refusal(&MessageKeyRecord { version: 2, ..message_key() }), RecordError::Malformed);
    assert_eq!(key_refusal(&MessageKeyRecord { device: other, ..message_key() }), RecordError::Device);
    assert_eq!(key_refusal(&MessageKeyRecord { until: THEN, ..message_key() }), RecordError::Period);
    let longer = Millis(message_key().until.0 + 1);
    assert_eq!(key_refusal(&MessageKeyRecord { until: longer, ..message_key() }), RecordError::Period);
    for used in [device, identity] {
        let key = used.spki().to_vec().into();
        assert_eq!(key_refusal(&MessageKeyRecord { key, ..message_key() }), RecordError::Account);
    }
    let itself = Some(AYŞE.message.public().id());
    assert_eq!(key_refusal(&MessageKeyRecord { supersedes: itself, ..message_key() }), RecordError::Account);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn no_changed_bit_of_a_record_is_accepted(at in any::<prop::sample::Index>(), bit in 0..8_u8) {
        let (mut chain, mut key) = {
            static RECORDS: std::sync::LazyLock<(Signed, Signed)> = std::sync::LazyLock::new(|| {
                let chain = sign_account_record(&AYŞE.identity, &registration()).unwrap();
                (chain, sign_message_key(&AYŞE.device, &message_key()).unwrap())
            });
            RECORDS.clone()
        };
        for record in [&mut chain, &mut key] {
            let place = at.index(record.body.len() + record.signature.len());
            match place.checked_sub(record.body.len()) {
                None => record.body[place] ^= 1 << bit,
                Some(place) => record.signature[place] ^= 1 << bit,
            }
        }
        prop_assert!(verify_account(&[chain]).is_err());
        prop_assert!(verify_message_key(&AYŞE.account, &key).is_err());
    }

    #[test]
    fn no_bytes_make_verifying_panic(
        body in prop::collection::vec(any::<u8>(), 0..200),
        signature in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let record = Signed { body: body.into(), signature: signature.into() };
        prop_assert!(verify_message_key(&AYŞE.account, &record).is_err());
        prop_assert!(verify_account(&[record]).is_err());
    }
}
