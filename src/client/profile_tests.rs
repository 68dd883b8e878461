use crate::model::{AccountId, DeviceId, LogCertificate, Millis, ServerId, Signed};

use super::*;

fn certificate() -> LogCertificate {
    LogCertificate {
        server: ServerId::new([2; 32]),
        log_key: [6; 32],
        tls_key: vec![1].into(),
        scheme: 0x0403,
        signature: vec![2].into(),
    }
}

fn profile() -> Profile {
    let signed = Signed { body: vec![1, 2].into(), signature: vec![3].into() };
    Profile::new(
        "localhost:6000".to_owned(),
        Met {
            server_key: KeyId::new([1; 32]),
            roots: false,
            server_id: ServerId::new([2; 32]),
            log_certificate: certificate(),
        },
        ("ayşe".parse().unwrap(), "blue".parse().unwrap()),
        (AccountId::new([3; 32]), DeviceId::new([4; 32])),
        (KeyId::new([5; 32]), Millis(7)),
        Pending::Registration { account: signed.clone(), message_key: signed, bits: 2048 },
    )
}

fn home() -> (tempfile::TempDir, Home) {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::new(folder.path().join("ayşe"));
    (folder, home)
}

#[test]
fn a_profile_reads_back_and_is_its_owners_alone() {
    let (_folder, home) = home();
    home.create().unwrap();
    assert_eq!(home.load().unwrap(), None);
    home.save(&profile()).unwrap();
    assert_eq!(home.load().unwrap(), Some(profile()));
    let key = home.begin_history().unwrap();
    assert_eq!(*home.history_key().unwrap(), *key);
    for (path, mode) in [("", 0o700), ("keys", 0o700), ("profile.json", 0o600), ("history.key", 0o600)] {
        let found = fs::metadata(home.path().join(path)).unwrap().permissions().mode();
        assert_eq!(found & 0o777, mode, "{path}");
    }
}

#[test]
fn a_damaged_profile_is_named() {
    let (_folder, home) = home();
    home.create().unwrap();
    let path = home.path().join("profile.json");
    for bytes in [&b""[..], b"{", b"null", br#"{"version":9}"#, b"\xff\xfe"] {
        fs::write(&path, bytes).unwrap();
        assert!(
            matches!(home.load(), Err(ClientError::Damaged { path: named, .. }) if named.ends_with("profile.json"))
        );
    }
    fs::write(home.path().join("history.key"), "short").unwrap();
    assert!(matches!(home.history_key(), Err(ClientError::Damaged { .. })));
    assert!(matches!(home.load_key(DEVICE), Err(ClientError::Damaged { .. })));
}

#[test]
fn a_lost_history_key_is_not_replaced_by_another() {
    let (_folder, home) = home();
    home.create().unwrap();
    assert!(matches!(home.history_key(), Err(ClientError::Damaged { .. })));
    fs::write(home.database(), "something").unwrap();
    assert!(matches!(home.begin_history(), Err(ClientError::Damaged { .. })));
}

#[test]
fn one_process_at_a_time_has_it() {
    let (_folder, home) = home();
    assert!(matches!(home.try_lock(), Err(ClientError::NotRegistered { .. })));
    home.create().unwrap();
    let lock = home.try_lock().unwrap();
    assert!(lock.is_some());
    assert!(home.try_lock().unwrap().is_none());
    drop(lock);
    assert!(home.try_lock().unwrap().is_some());
}

#[test]
fn a_change_of_passphrase_that_broke_off_is_undone_or_finished() {
    let (_folder, home) = home();
    home.create().unwrap();
    let key = crate::crypto::PrivateKey::from_pem(&crate::crypto::test_keys::AYŞE.device.to_pem()).unwrap();
    home.save_key(DEVICE, &key).unwrap();
    let history_key = home.begin_history().unwrap();
    let words = |words: &str| Passphrase::new(Zeroizing::new(words.to_owned())).map(Arc::new);
    let (pem, old) = (home.path().join("keys/device.pem"), home.path().join("history.key"));
    let next = [home.path().join("keys/device.pem.next"), home.path().join("history.key.next")];
    let sealed = home.clone().with_passphrase(words("bir"));
    let write_next = || {
        fs::write(
            &next[0],
            key.to_sealed_pem(&Passphrase::new(Zeroizing::new("bir".to_owned())).unwrap()).unwrap(),
        )
        .unwrap();
        fs::write(&next[1], sealed.sealed_history_key(&history_key).unwrap()).unwrap();
    };

    // Not decided on yet: as if it had never begun.
    write_next();
    home.finish_resealing().unwrap();
    assert!(!home.is_sealed().unwrap() && !next[0].exists() && !next[1].exists());
    assert_eq!(home.load_key(DEVICE).unwrap().public(), key.public());

    // Decided on: one file has taken its place, the other has not.
    write_next();
    fs::write(home.path().join("relocking"), "").unwrap();
    fs::rename(&next[0], &pem).unwrap();
    fs::write(&old, vec![0; 64]).unwrap();
    home.finish_resealing().unwrap();
    assert!(home.is_sealed().unwrap() && !home.path().join("relocking").exists());
    assert!(matches!(home.load_key(DEVICE), Err(ClientError::Locked { .. })));
    assert!(matches!(home.history_key(), Err(ClientError::Locked { .. })));
    assert_eq!(sealed.load_key(DEVICE).unwrap().public(), key.public());
    assert_eq!(*sealed.history_key().unwrap(), *history_key);
    let other = home.clone().with_passphrase(words("iki"));
    assert!(matches!(other.load_key(DEVICE), Err(ClientError::WrongPassphrase)));
    assert!(matches!(other.history_key(), Err(ClientError::WrongPassphrase)));

    // Into the keyring: that it is there stands in the file that changes with it.
    let entry = Entry::new();
    let kept = home.clone().with_passphrase_in_keyring(Passphrase::random(), entry.clone());
    sealed.reseal(&kept).unwrap();
    assert_eq!(home.sealing().unwrap(), Sealing::Keyring(entry.clone()));
    assert_eq!(*kept.history_key().unwrap(), *history_key);
    let wrong = home.clone().with_passphrase_in_keyring(Passphrase::random(), entry);
    assert!(matches!(wrong.history_key(), Err(ClientError::NotInKeyring { .. })));
    assert!(matches!(wrong.load_key(DEVICE), Err(ClientError::NotInKeyring { .. })));

    kept.reseal(&home).unwrap();
    assert_eq!(home.sealing().unwrap(), Sealing::Open);
    assert_eq!(*home.history_key().unwrap(), *history_key);
}

#[test]
fn the_entries_of_the_keyring_are_noted_until_they_are_gone() {
    let (_folder, home) = home();
    home.create().unwrap();
    assert_eq!(home.entries().unwrap(), []);
    let entries = [Entry::new(), Entry::new()];
    home.note_entries(&entries).unwrap();
    assert_eq!(home.entries().unwrap(), entries);
    home.note_entries(&[]).unwrap();
    assert_eq!(home.entries().unwrap(), []);
    home.note_entries(&[]).unwrap();
}

#[test]
fn the_end_of_a_key_that_broke_off_is_carried_out_at_the_next_opening() {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::new(folder.path());
    home.create().unwrap();
    let key = crate::crypto::PrivateKey::from_pem(&crate::crypto::test_keys::AYŞE.device.to_pem()).unwrap();
    let id = |byte| KeyId::new([byte; 32]);
    let message = |byte| message_key_name(&id(byte));
    let pending = Pending::MessageKey {
        record: Signed { body: vec![].into(), signature: vec![].into() },
        key: id(3),
        from: Millis(3),
    };
    let met = Met {
        server_key: id(0),
        roots: false,
        server_id: crate::model::ServerId::new([0; 32]),
        log_certificate: certificate(),
    };
    let profile = Profile {
        replaced: vec![Replaced { key: id(1), at: Millis(2), until: Some(Millis(4)) }],
        ..Profile::new(
            "localhost:6000".to_owned(),
            met,
            ("ayşe".parse().unwrap(), "teal".parse().unwrap()),
            (id(9).into(), id(8).into()),
            (id(2), Millis(2)),
            pending,
        )
    };
    let mut kept = vec![identity_name(&profile), device_name(&profile), message(1), message(2), message(3)];
    // A copy that somebody has made is theirs.
    kept.push("identity-copy".to_owned());
    kept.sort();
    let before = identity_name(&Profile { identity: Some(id(7)), ..profile.clone() });
    for name in kept.iter().chain(&[message(4), before]) {
        home.save_key(name, &key).unwrap();
    }
    // Killed after the name was taken away, with zeros in it or not yet.
    let dying = home.path().join("keys").join(format!("{}.pem.new", message(5)));
    fs::write(&dying, vec![0; 100]).unwrap();
    home.finish_resealing().unwrap();
    home.destroy_strays(&profile).unwrap();
    let mut names = home.key_names().unwrap();
    names.sort();
    assert_eq!(names, kept);
    assert!(!dying.exists());
    home.remove_key(&message(1)).unwrap();
    home.remove_key(&message(1)).unwrap();
    assert_eq!(home.key_names().unwrap().len(), 5);
    assert_eq!(fs::read_dir(home.path().join("keys")).unwrap().count(), 5, "nothing is left of it");
}
