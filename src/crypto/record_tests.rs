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
    let AccountRecordKind::Registration { identity_key, device_key, .. } = &mut one_key.kind else {
        panic!()
    };
    device_key.clone_from(identity_key);
    assert_eq!(refusal(&one_key), RecordError::Account);

    let mut no_key = registration();
    let AccountRecordKind::Registration { device_key, .. } = &mut no_key.kind else { panic!() };
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

/// ayşe's chain with these behind its registration, each made from the account as it stood.
fn chain(records: &[&dyn Fn(&Account) -> Signed]) -> Result<Account, RecordError> {
    let mut chain = vec![sign_account_record(&AYŞE.identity, &registration()).unwrap()];
    for record in records {
        let account = verify_account(&chain)?;
        chain.push(record(&account));
    }
    verify_account(&chain)
}

const LATER: Millis = Millis(THEN.0 + 1000);

fn removed(account: &Account) -> Signed {
    remove_device(account, &AYŞE.identity, AYŞE.device.public().id().into(), LATER).unwrap()
}

fn added(account: &Account) -> Signed {
    let id = BURAK.device.public().id();
    let parts: [&[u8]; 3] = [account.id.as_bytes(), &account.head, id.as_bytes()];
    let kind = AccountRecordKind::DeviceAdded {
        device_key: BURAK.device.public().spki().to_vec().into(),
        consent: BURAK.device.sign(Purpose::Consent, &parts).unwrap().into(),
    };
    next_record(account, &AYŞE.identity, kind, LATER).unwrap()
}

fn rekeyed(account: &Account) -> Signed {
    rekey(account, &AYŞE.identity, &BURAK.identity, BURAK.device.public(), LATER).unwrap()
}

#[test]
fn new_keys_are_vouched_for_by_the_old_and_agree_to_it() {
    let account = chain(&[&rekeyed]).unwrap();
    assert_eq!(account.id, AYŞE.account.id, "the account stays");
    assert_eq!(account.identity, *BURAK.identity.public());
    let (old, new) = (AYŞE.device.public().id().into(), BURAK.device.public().id().into());
    assert!(account.device(&new).is_some() && account.device(&old).is_none());
    assert_eq!(account.removed_device(&old).unwrap().1, LATER);
    assert!(
        account.device_at(&old, LATER).is_some() && account.device_at(&old, Millis(LATER.0 + 1)).is_none()
    );
    assert_eq!(account.device(&new).unwrap().certified_by, BURAK.identity.public().id());

    // By another key than the present one.
    let foreign = |account: &Account| {
        rekey(account, &BURAK.identity, &BURAK.identity, BURAK.device.public(), LATER).unwrap()
    };
    assert_eq!(chain(&[&foreign]).unwrap_err(), RecordError::Signature(BadSignature));
    // To a key that did not agree: somebody else's.
    let stolen = |account: &Account| {
        let kind = AccountRecordKind::Rekey {
            identity_key: BURAK.identity.public().spki().to_vec().into(),
            device_key: BURAK.device.public().spki().to_vec().into(),
            consent: AYŞE.identity.sign(Purpose::Consent, &[b"x"]).unwrap().into(),
        };
        next_record(account, &AYŞE.identity, kind, LATER).unwrap()
    };
    assert_eq!(chain(&[&stolen]).unwrap_err(), RecordError::Signature(BadSignature));
    // To a key that it has or had.
    let same =
        |account: &Account| rekey(account, &AYŞE.identity, &AYŞE.identity, BURAK.device.public(), LATER);
    assert_eq!(chain(&[&|account| same(account).unwrap()]).unwrap_err(), RecordError::Account);
    let back =
        |account: &Account| rekey(account, &BURAK.identity, &AYŞE.identity, AYŞE.message.public(), LATER);
    assert_eq!(chain(&[&rekeyed, &|account| back(account).unwrap()]).unwrap_err(), RecordError::Account);
    // The old key signs nothing any more.
    assert_eq!(
        chain(&[&rekeyed, &|account| revoke(account, &AYŞE.identity, LATER).unwrap()]).unwrap_err(),
        RecordError::Signature(BadSignature)
    );
}

#[test]
fn devices_come_and_go_and_an_account_can_end() {
    let account = chain(&[&added, &removed]).unwrap();
    assert_eq!(account.devices.len(), 1);
    assert!(account.device(&BURAK.device.public().id().into()).is_some());
    let both = chain(&[&added]).unwrap();
    let came: Vec<_> = both.devices.iter().map(|device| (device.since, device.record)).collect();
    let first = chain(&[]).unwrap().head;
    assert_eq!(came, [(THEN, first), (LATER, both.head)], "each by its record");
    assert_eq!(chain(&[&added, &added]).unwrap_err(), RecordError::Account, "once");
    assert_eq!(chain(&[&removed, &removed]).unwrap_err(), RecordError::Device);
    let key = sign_message_key(&AYŞE.device, &message_key()).unwrap();
    assert_eq!(verify_message_key(&account, &key).unwrap_err(), RecordError::Device, "of a removed device");

    let ended = |account: &Account| revoke(account, &AYŞE.identity, LATER).unwrap();
    let account = chain(&[&added, &ended]).unwrap();
    assert_eq!((account.revoked, account.devices.len(), account.removed.len()), (Some(LATER), 0, 2));
    assert_eq!(chain(&[&ended, &added]).unwrap_err(), RecordError::Chain, "nothing follows");
}

#[test]
fn a_chain_that_was_verified_is_read_without_its_signatures_and_what_follows_is_checked() {
    let mut chain = vec![sign_account_record(&AYŞE.identity, &registration()).unwrap()];
    chain.push(added(&verify_account(&chain).unwrap()));
    let verified = verify_account(&chain).unwrap();
    let next = removed(&verified);
    // That nothing is verified again.
    chain[1].signature = vec![0; 256].into();
    assert!(verify_account(&chain).is_err());
    let mut account = read_verified_account(&chain).unwrap();
    assert_eq!((account.head, account.devices.len()), (verified.head, 2));
    let forged = Signed { signature: vec![0; 256].into(), ..next.clone() };
    assert!(append_record(&mut account.clone(), &forged).is_err());
    append_record(&mut account, &next).unwrap();
    assert_eq!(account.devices.len(), 1);
    assert!(append_record(&mut account, &next).is_err(), "once");
    // All else is checked.
    chain.swap(0, 1);
    assert!(read_verified_account(&chain).is_err());
}

/// A device's record, of a device with a new key.
fn another(account: &Account, identity: &PrivateKey) -> Signed {
    let device = PrivateKey::generate(2048).unwrap();
    let id = device.public().id();
    let parts: [&[u8]; 3] = [account.id.as_bytes(), &account.head, id.as_bytes()];
    let kind = AccountRecordKind::DeviceAdded {
        device_key: device.public().spki().to_vec().into(),
        consent: device.sign(Purpose::Consent, &parts).unwrap().into(),
    };
    next_record(account, identity, kind, LATER).unwrap()
}

#[test]
fn devices_never_take_the_places_that_new_keys_and_the_end_of_an_account_need() {
    let mut chain = vec![sign_account_record(&AYŞE.identity, &registration()).unwrap()];
    let mut account = verify_account(&chain).unwrap();
    let add = |chain: &mut Vec<Signed>, record: Signed| {
        chain.push(record);
        let verified = verify_account(chain);
        if verified.is_err() {
            chain.pop();
        }
        verified
    };
    // Somebody who has the identity key lets devices come and go for as long as that goes.
    while account.takes_devices() {
        let gone = account.devices.get(1).map(|device| device.id);
        let record = match gone {
            Some(device) => remove_device(&account, &AYŞE.identity, device, LATER).unwrap(),
            None => another(&account, &AYŞE.identity),
        };
        account = add(&mut chain, record).unwrap();
    }
    assert_eq!(account.length as usize, limits::CHAIN_OF_DEVICES);
    let full = |verified: Result<Account, RecordError>| assert_eq!(verified.unwrap_err(), RecordError::Full);
    full(add(&mut chain, another(&account, &AYŞE.identity)));
    full(add(&mut chain, removed(&account)));
    // New keys are taken all the same, until one place is left.
    let mut identity = PrivateKey::generate(2048).unwrap();
    let device = PrivateKey::generate(2048).unwrap();
    let record = rekey(&account, &AYŞE.identity, &identity, device.public(), LATER).unwrap();
    account = add(&mut chain, record).unwrap();
    assert_eq!(account.devices.len(), 1, "and whoever came is gone");
    loop {
        let (next, device) = (PrivateKey::generate(2048).unwrap(), PrivateKey::generate(2048).unwrap());
        let record = rekey(&account, &identity, &next, device.public(), LATER).unwrap();
        if !account.takes_keys() {
            full(add(&mut chain, record));
            break;
        }
        account = add(&mut chain, record).unwrap();
        identity = next;
    }
    assert_eq!(account.length as usize, limits::CHAIN - 1);
    // Which is the end's.
    account = add(&mut chain, revoke(&account, &identity, LATER).unwrap()).unwrap();
    assert_eq!((account.length as usize, account.revoked), (limits::CHAIN, Some(LATER)));
}

#[test]
fn each_record_follows_the_one_before_it() {
    let first = sign_account_record(&AYŞE.identity, &registration()).unwrap();
    let previous: [u8; 32] = Sha256::digest(first.body.as_slice()).into();
    let kind = AccountRecordKind::Revocation;
    let second = AccountRecord { index: 1, previous: Some(previous.into()), kind, ..registration() };
    let verify = |second: &AccountRecord| {
        let second = sign_account_record(&AYŞE.identity, second).unwrap();
        verify_account(&[first.clone(), second])
    };
    assert!(verify(&second).is_ok());
    let refuse = |second: &AccountRecord| verify(second).unwrap_err();
    assert_eq!(refuse(&AccountRecord { version: 2, ..second.clone() }), RecordError::Malformed);
    assert_eq!(refuse(&AccountRecord { index: 2, ..second.clone() }), RecordError::Chain);
    assert_eq!(refuse(&AccountRecord { previous: None, ..second.clone() }), RecordError::Chain);
    let other = Some([7; 32].into());
    assert_eq!(refuse(&AccountRecord { previous: other, ..second.clone() }), RecordError::Chain);
    assert_eq!(refuse(&AccountRecord { account: BURAK.account.id, ..second.clone() }), RecordError::Account);
    assert_eq!(refuse(&AccountRecord { kind: registration().kind, ..second }), RecordError::Chain);
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
