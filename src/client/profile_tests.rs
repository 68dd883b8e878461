use super::*;

fn profile() -> Profile {
    let signed = Signed { body: vec![1, 2].into(), signature: vec![3].into() };
    Profile::new(
        "localhost:6000".to_owned(),
        Met {
            server_key: KeyId::new([1; 32]),
            roots: false,
            server_id: ServerId::new([2; 32]),
            log_key: None,
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
    let key = home.history_key().unwrap();
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
    fs::write(home.database(), "something").unwrap();
    assert!(matches!(home.history_key(), Err(ClientError::Damaged { .. })));
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
