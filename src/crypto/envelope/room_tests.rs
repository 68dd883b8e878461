use super::tests::{delivered, draft, text};
use super::*;
use crate::crypto::room::{self, Room};
use crate::crypto::test_keys::{AYŞE, BURAK, Person, THEN, ZOÉ};
use crate::crypto::{MessageSecret, record};
use crate::model::{Conversation, Millis, RoomRecordKind, RosterId, limits};

/// Ayşe's room with burak in it and zoé invited.
fn garden(nonce: u8) -> Room {
    let first = room::found(&AYŞE.device, AYŞE.account.id, [nonce; 32], THEN).unwrap();
    let mut room = Room::found(&first, &AYŞE.account).unwrap();
    for (person, kind) in [
        (&*AYŞE, RoomRecordKind::Invited { account: BURAK.account.id }),
        (&*BURAK, RoomRecordKind::Joined),
        (&*AYŞE, RoomRecordKind::Invited { account: ZOÉ.account.id }),
    ] {
        does(&mut room, person, kind, THEN);
    }
    room
}

fn does(room: &mut Room, person: &Person, kind: RoomRecordKind, at: Millis) {
    let record = room::next(room, &person.device, person.account.id, kind, at).unwrap();
    room.append(&record, &person.account).unwrap();
}

/// What is said to somebody who opens what somebody has written to a room as it was then.
fn check(
    (from, account): (&Person, &record::Account),
    to: &Person,
    recipient: Conversation,
    sent_at: Millis,
    room: Option<&Room>,
) -> Result<(), CheckError> {
    let draft = Draft { account: account.id, recipient, sent_at, ..draft() };
    let sealed = seal(&from.device, &draft, &text(), MessageSecret::generate()).unwrap();
    let parsed = parse(&sealed.body).unwrap();
    let said = delivered(parsed.header());
    parsed.check(&said, to.as_recipient(), account, room).map(drop)
}

#[test]
fn an_envelope_for_a_room_is_for_those_who_were_in_it_and_by_one_of_them() {
    let mut room = garden(1);
    let before = Conversation::Room { room: room.id, roster: room.roster() };
    let [ayşe, burak, zoé] = [&*AYŞE, &*BURAK, &*ZOÉ].map(|person| (person, &person.account));
    assert_eq!(check(ayşe, &BURAK, before, THEN, Some(&room)), Ok(()));
    assert_eq!(check(burak, &AYŞE, before, THEN, Some(&room)), Ok(()));
    // Invited is not in it, neither to read nor to write.
    assert_eq!(check(ayşe, &ZOÉ, before, THEN, Some(&room)), Err(CheckError::NotInRoom));
    assert_eq!(check(zoé, &AYŞE, before, THEN, Some(&room)), Err(CheckError::NotInRoom));
    // Who comes in later reads nothing of before, though the server delivers it.
    does(&mut room, &ZOÉ, RoomRecordKind::Joined, THEN);
    let after = Conversation::Room { room: room.id, roster: room.roster() };
    assert_eq!(check(ayşe, &ZOÉ, before, THEN, Some(&room)), Err(CheckError::NotInRoom));
    assert_eq!(check(ayşe, &ZOÉ, after, THEN, Some(&room)), Ok(()));
    // A member's own device, and nobody else's in its name.
    assert_eq!(
        check((&ZOÉ, &BURAK.account), &AYŞE, after, THEN, Some(&room)),
        Err(CheckError::UncertifiedDevice)
    );
}

#[test]
fn an_envelope_for_a_room_is_for_no_other_room() {
    let (one, other) = (garden(1), garden(2));
    let ayşe = (&*AYŞE, &AYŞE.account);
    let here = Conversation::Room { room: one.id, roster: one.roster() };
    assert_eq!(check(ayşe, &BURAK, here, THEN, Some(&one)), Ok(()));
    assert_eq!(check(ayşe, &BURAK, here, THEN, Some(&other)), Err(CheckError::NotInRoom));
    assert_eq!(check(ayşe, &BURAK, here, THEN, None), Err(CheckError::NotInRoom));
    for mixed in [
        Conversation::Room { room: other.id, roster: one.roster() },
        Conversation::Room { room: one.id, roster: other.roster() },
        Conversation::Room { room: one.id, roster: RosterId::new([9; 32]) },
    ] {
        for room in [&one, &other] {
            assert_eq!(check(ayşe, &BURAK, mixed, THEN, Some(room)), Err(CheckError::NotInRoom));
        }
    }
    // The server says another room, or that it was for one person alone.
    let draft = Draft { recipient: here, ..draft() };
    let sealed = seal(&AYŞE.device, &draft, &text(), MessageSecret::generate()).unwrap();
    let parsed = parse(&sealed.body).unwrap();
    let said = delivered(parsed.header());
    let elsewhere = Conversation::Room { room: other.id, roster: other.roster() };
    for conversation in [elsewhere, BURAK.account.id.into()] {
        let moved = Delivered { conversation, ..said };
        let refused = parsed.clone().check(&moved, BURAK.as_recipient(), &AYŞE.account, Some(&other));
        assert_eq!(refused.unwrap_err(), CheckError::Delivery);
    }
}

#[test]
fn who_is_gone_from_a_room_writes_to_it_no_more() {
    let mut room = garden(1);
    let then = Conversation::Room { room: room.id, roster: room.roster() };
    let gone = THEN.plus(limits::FAREWELL);
    does(&mut room, &AYŞE, RoomRecordKind::Removed { account: BURAK.account.id }, gone);
    let burak = (&*BURAK, &BURAK.account);
    // What was under way, by clocks that may be apart.
    assert_eq!(check(burak, &AYŞE, then, gone, Some(&room)), Ok(()));
    let late = gone.plus(limits::FAREWELL);
    assert_eq!(check(burak, &AYŞE, then, late, Some(&room)), Ok(()));
    assert_eq!(check(burak, &AYŞE, then, Millis(late.0 + 1), Some(&room)), Err(CheckError::NotInRoom));
    let now = Conversation::Room { room: room.id, roster: room.roster() };
    assert_eq!(check(burak, &AYŞE, now, THEN, Some(&room)), Err(CheckError::NotInRoom));
    // And the one who stays can still be read by whoever was there then.
    assert_eq!(check((&AYŞE, &AYŞE.account), &BURAK, then, THEN, Some(&room)), Ok(()));
}
