use super::*;
use crate::crypto::record;
use crate::crypto::test_keys::{AYŞE, BURAK, Person, THEN, ZOÉ};
use crate::model::DeviceId;

/// A record behind the newest, whatever it says.
fn by(person: &Person, room: &Room, kind: RoomRecordKind) -> Signed {
    next(room, &person.device, person.account.id, kind, THEN).unwrap()
}

/// Ayşe's room.
fn founded() -> (Signed, Room) {
    let first = found(&AYŞE.device, AYŞE.account.id, [7; 32], THEN).unwrap();
    let room = Room::found(&first, &AYŞE.account).unwrap();
    (first, room)
}

fn invited(person: &Person) -> RoomRecordKind {
    RoomRecordKind::Invited { account: person.account.id }
}

fn removed(person: &Person) -> RoomRecordKind {
    RoomRecordKind::Removed { account: person.account.id }
}

/// Does what a record says that has to be good.
fn done(room: &mut Room, person: &Person, kind: RoomRecordKind) -> Signed {
    let record = by(person, room, kind);
    room.append(&record, &person.account).unwrap();
    record
}

/// Why a record is refused; the room is as it was.
fn refusal(room: &mut Room, person: &Person, kind: RoomRecordKind) -> RoomError {
    let (before, record) = (room.roster(), by(person, room, kind));
    let error = room.append(&record, &person.account).unwrap_err();
    assert_eq!(room.roster(), before);
    error
}

#[test]
fn people_come_into_a_room_by_invitation_and_go_as_they_like() {
    let (first, mut room) = founded();
    let mut chain = vec![first];
    assert_eq!((room.founder, room.size()), (AYŞE.account.id, 1));
    chain.push(done(&mut room, &AYŞE, invited(&BURAK)));
    assert_eq!(room.invited.get(&BURAK.account.id), Some(&AYŞE.account.id));
    let alone = room.roster();
    chain.push(done(&mut room, &BURAK, RoomRecordKind::Joined));
    let two = room.roster();
    // Whoever is in it invites.
    chain.push(done(&mut room, &BURAK, invited(&ZOÉ)));
    chain.push(done(&mut room, &ZOÉ, RoomRecordKind::Left));
    chain.push(done(&mut room, &BURAK, invited(&ZOÉ)));
    chain.push(done(&mut room, &ZOÉ, RoomRecordKind::Joined));
    let three = room.roster();
    chain.push(done(&mut room, &AYŞE, removed(&BURAK)));
    chain.push(done(&mut room, &AYŞE, RoomRecordKind::Left));

    let ids = |people: &[&Person]| people.iter().map(|person| person.account.id).collect::<BTreeSet<_>>();
    let [ayşe, burak, zoé]: [&Person; 3] = [&AYŞE, &BURAK, &ZOÉ];
    assert_eq!(room.members, ids(&[zoé]));
    assert_eq!(room.members_at(&alone), Some(ids(&[ayşe])));
    assert_eq!(room.members_at(&two), Some(ids(&[ayşe, burak])));
    assert_eq!(room.members_at(&three), Some(ids(&[ayşe, burak, zoé])));
    assert_eq!(room.members_at(&RosterId::new([9; 32])), None);
    assert_eq!(room.gone_since(&BURAK.account.id, &two), Some(THEN));
    assert_eq!(room.gone_since(&ZOÉ.account.id, &three), None);
    assert_eq!(room.gone_since(&BURAK.account.id, &room.roster()), None);

    let read = Room::read_verified(&chain).unwrap();
    assert_eq!((read.id, read.roster(), read.members), (room.id, room.roster(), room.members));
}

#[test]
fn a_room_is_its_first_record() {
    let (first, room) = founded();
    assert_eq!(room.id.as_bytes(), roster_id(&first).as_bytes());
    let other = found(&AYŞE.device, AYŞE.account.id, [8; 32], THEN).unwrap();
    assert_ne!(Room::found(&other, &AYŞE.account).unwrap().id, room.id);
    assert_eq!(maker(&first), Ok(AYŞE.account.id));
    assert_eq!(Room::found(&first, &BURAK.account).unwrap_err(), RoomError::Device);
    assert_eq!(Room::read_verified(&[]).unwrap_err(), RoomError::Chain);
    let second = by(&AYŞE, &room, invited(&BURAK));
    assert_eq!(Room::found(&second, &AYŞE.account).unwrap_err(), RoomError::Chain);
    let unsigned = Signed { signature: second.signature, ..first };
    assert!(matches!(Room::found(&unsigned, &AYŞE.account), Err(RoomError::Signature(_))));
}

#[test]
fn nobody_does_in_a_room_what_is_not_theirs_to_do() {
    let (first, mut room) = founded();
    let refused = RoomError::NotAllowed;
    // Uninvited, or twice.
    assert_eq!(refusal(&mut room, &BURAK, RoomRecordKind::Joined), refused);
    assert_eq!(refusal(&mut room, &BURAK, RoomRecordKind::Left), refused);
    assert_eq!(refusal(&mut room, &BURAK, invited(&ZOÉ)), refused);
    assert_eq!(refusal(&mut room, &AYŞE, RoomRecordKind::Joined), refused);
    assert_eq!(refusal(&mut room, &AYŞE, invited(&AYŞE)), refused);
    assert_eq!(refusal(&mut room, &AYŞE, removed(&AYŞE)), refused);
    assert_eq!(refusal(&mut room, &AYŞE, removed(&ZOÉ)), refused);
    done(&mut room, &AYŞE, invited(&BURAK));
    assert_eq!(refusal(&mut room, &AYŞE, invited(&BURAK)), refused);
    // Invited is not in it.
    assert_eq!(refusal(&mut room, &BURAK, invited(&ZOÉ)), refused);
    done(&mut room, &BURAK, RoomRecordKind::Joined);
    done(&mut room, &AYŞE, invited(&ZOÉ));
    // Nobody but the founder removes, and the founder only while in it.
    assert_eq!(refusal(&mut room, &BURAK, removed(&AYŞE)), refused);
    assert_eq!(refusal(&mut room, &BURAK, removed(&ZOÉ)), refused);
    // In another's name.
    let record = by(&BURAK, &room, RoomRecordKind::Left);
    assert_eq!(room.append(&record, &AYŞE.account).unwrap_err(), RoomError::Device);
    let claimed = next(&room, &BURAK.device, AYŞE.account.id, RoomRecordKind::Left, THEN).unwrap();
    assert_eq!(room.append(&claimed, &AYŞE.account).unwrap_err(), RoomError::Device);
    // Another room's, and one that does not follow.
    let other = Room::found(&found(&AYŞE.device, AYŞE.account.id, [8; 32], THEN).unwrap(), &AYŞE.account);
    let elsewhere = by(&AYŞE, &other.unwrap(), RoomRecordKind::Left);
    assert_eq!(room.append(&elsewhere, &AYŞE.account).unwrap_err(), RoomError::Chain);
    let early = Room::read_verified(&[first]).unwrap();
    let early = by(&AYŞE, &early, RoomRecordKind::Left);
    assert_eq!(room.append(&early, &AYŞE.account).unwrap_err(), RoomError::Chain);
    done(&mut room, &AYŞE, RoomRecordKind::Left);
    assert_eq!(refusal(&mut room, &AYŞE, removed(&BURAK)), refused);
}

#[test]
fn a_rooms_record_is_worth_nothing_changed() {
    let (_, room) = founded();
    let good = by(&AYŞE, &room, invited(&BURAK));
    for place in 0..good.body.len() {
        let mut changed = good.clone();
        changed.body[place] ^= 1;
        assert!(room.clone().append(&changed, &AYŞE.account).is_err(), "byte {place}");
    }
    let mut longer = good.clone();
    longer.body.push(0);
    assert_eq!(room.clone().append(&longer, &AYŞE.account).unwrap_err(), RoomError::Malformed);
    assert!(room.clone().append(&good, &AYŞE.account).is_ok());
}

#[test]
fn from_its_last_places_on_people_only_leave_a_room() {
    let (_, mut room) = founded();
    // Burak is invited and declines without end. Nothing is signed: it is the order that counts here.
    let unsigned = |room: &Room, person: &Person, kind| {
        let record = RoomRecord {
            version: VERSION,
            room: Some(room.id),
            index: room.changes.len() as u32,
            previous: Some(room.roster()),
            made_at: THEN,
            account: person.account.id,
            device: AYŞE.device.public().id().into(),
            kind,
        };
        Signed { body: to_cbor(&record).into(), signature: vec![].into() }
    };
    while room.changes.len() < limits::ROOM_RECORDS - 1 {
        let (person, kind): (&Person, _) =
            if room.size() == 1 { (&AYŞE, invited(&BURAK)) } else { (&BURAK, RoomRecordKind::Left) };
        let record = unsigned(&room, person, kind);
        room.follow(&record).unwrap();
    }
    if room.size() == 1 {
        let last = unsigned(&room, &AYŞE, invited(&BURAK));
        room.follow(&last).unwrap();
    }
    while room.changes.len() < limits::ROOM_RECORDS {
        let last = unsigned(&room, &AYŞE, removed(&BURAK));
        room.follow(&last).unwrap();
    }
    assert_eq!(refusal(&mut room, &AYŞE, invited(&ZOÉ)), RoomError::Full);
    assert_eq!(refusal(&mut room, &BURAK, RoomRecordKind::Joined), RoomError::Full);
    done(&mut room, &AYŞE, RoomRecordKind::Left);
}

/// Made by hand, byte by byte: what another program has to make.
#[test]
fn a_rooms_records_are_written_like_this() {
    let account = |number: u8| AccountId::new([number; 32]);
    let device = |number: u8| DeviceId::new([number; 32]);
    let at = |index: u64| Millis(THEN.0 + index);
    let founded = RoomRecord {
        version: VERSION,
        room: None,
        index: 0,
        previous: None,
        made_at: at(0),
        account: account(1),
        device: device(17),
        kind: RoomRecordKind::Founded { nonce: [7; 32].into() },
    };
    let unsigned = |record: &RoomRecord| Signed { body: to_cbor(record).into(), signature: vec![].into() };
    let first = unsigned(&founded);
    let room = RoomId::new(*roster_id(&first).as_bytes());
    let later = |index, previous: &Signed, person, kind| RoomRecord {
        room: Some(room),
        index,
        previous: Some(roster_id(previous)),
        made_at: at(index.into()),
        account: account(person),
        device: device(person + 16),
        kind,
        ..founded.clone()
    };
    let invited = unsigned(&later(1, &first, 1, RoomRecordKind::Invited { account: account(2) }));
    let joined = unsigned(&later(2, &invited, 2, RoomRecordKind::Joined));
    let removed = unsigned(&later(3, &joined, 1, RoomRecordKind::Removed { account: account(2) }));
    let left = unsigned(&later(4, &removed, 1, RoomRecordKind::Left));
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/record");
    for (place, record) in [first, invited, joined, removed, left].iter().enumerate() {
        let written = std::fs::read(folder.join(format!("room-record-{place}"))).unwrap();
        assert_eq!(record.body.to_vec(), written, "record {place}");
    }
}

/// Whatever its members do with their devices later, and whatever times they have claimed.
#[test]
fn a_chain_that_has_verified_verifies_for_whoever_reads_it_later() {
    let (first, mut room) = founded();
    let invite = next(&room, &AYŞE.device, AYŞE.account.id, invited(&BURAK), Millis(u64::MAX)).unwrap();
    room.append(&invite, &AYŞE.account).unwrap();
    // Ayşe's device goes; the time is her word, too.
    let mut after = AYŞE.account.clone();
    let device = AYŞE.device.public().id().into();
    let removal = record::remove_device(&after, &AYŞE.identity, device, THEN).unwrap();
    record::append_record(&mut after, &removal).unwrap();
    let mut read = Room::found(&first, &after).unwrap();
    read.append(&invite, &after).unwrap();
    assert_eq!(read.roster(), room.roster());
}
