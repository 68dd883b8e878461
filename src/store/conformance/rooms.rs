//! Rooms.

use std::path::Path;

use super::{Person, accepted, friends, held, signed, submission};
use crate::model::{AccountId, Conversation, KeyId, Millis, Position, RoomId, RosterId, Submission, limits};
use crate::store::{Accepted, NewRoomRecord, Quotas, Standing, Store, StoreError, StoredRoom};

const ROOM: RoomId = RoomId::new([100; 32]);

fn roster(number: u8) -> RosterId {
    RosterId::new([number; 32])
}

/// The record with this number, from 1, of the room.
fn record(number: u8, person: &Person, standing: Standing) -> NewRoomRecord {
    NewRoomRecord {
        room: ROOM,
        previous: number.checked_sub(1).filter(|number| *number > 0).map(roster),
        roster: roster(number),
        record: signed(&format!("record {number}")),
        account: person.account,
        standing,
    }
}

/// ayşe, who has begun the room, burak and zoé, who are in it: five records.
async fn together<S: Store>(store: &S) -> [Person; 3] {
    let (ayşe, burak) = friends(store).await;
    let zoé = Person::new(40);
    store.register(zoé.registration("zoé")).await.unwrap();
    let steps = [
        (&ayşe, Standing::Member),
        (&burak, Standing::Invited),
        (&burak, Standing::Member),
        (&zoé, Standing::Invited),
        (&zoé, Standing::Member),
    ];
    for (number, (person, standing)) in (1..).zip(steps) {
        store.append_room_record(record(number, person, standing)).await.unwrap();
    }
    [ayşe, burak, zoé]
}

/// An envelope to others in the room, as it is after a record.
fn to_room(from: &Person, to: &[&Person], number: u8, after: u8) -> Submission {
    Submission {
        conversation: Conversation::Room { room: ROOM, roster: roster(after) },
        recipients: to.iter().map(|person| person.recipient()).collect(),
        ..submission(from, from, number, &[number])
    }
}

/// The numbers of the records that somebody may read, and what they are in the room.
async fn readable<S: Store>(store: &S, person: &Person) -> Option<(Standing, usize)> {
    let room = store.room(ROOM, person.account, 0, usize::MAX).await.unwrap()?;
    for (number, record) in (1..).zip(&room.records) {
        assert_eq!(*record, signed(&format!("record {number}")));
    }
    assert!(!room.more);
    Some((room.standing, room.records.len()))
}

pub async fn rooms<S: Store>(folder: &Path, open: impl Fn(&Path) -> S) {
    let store = open(folder);
    let (ayşe, burak) = friends(&store).await;
    let append = async |record| store.append_room_record(record).await;
    let invited = record(2, &burak, Standing::Invited);
    assert_eq!(append(invited.clone()).await, Err(StoreError::RoomChanged), "of no room yet");
    for _ in 0..2 {
        append(record(1, &ayşe, Standing::Member)).await.unwrap();
    }
    let other = NewRoomRecord { roster: roster(9), ..record(1, &ayşe, Standing::Member) };
    assert_eq!(append(other).await, Err(StoreError::RoomChanged), "it has begun");
    for _ in 0..2 {
        append(invited.clone()).await.unwrap();
    }
    let other = NewRoomRecord { roster: roster(9), ..invited };
    assert_eq!(append(other).await, Err(StoreError::RoomChanged), "another one was first");
    for nobody in [Person::new(90).account, AccountId::new([0; 32])] {
        let unknown = NewRoomRecord { account: nobody, ..record(3, &burak, Standing::Invited) };
        assert_eq!(append(unknown).await, Err(StoreError::UnknownAccount));
    }
    append(record(3, &burak, Standing::Member)).await.unwrap();
    assert_eq!(readable(&store, &ayşe).await, Some((Standing::Member, 3)), "a refusal leaves no trace");
    assert_eq!(readable(&store, &burak).await, Some((Standing::Member, 3)));
}

pub async fn reading_rooms<S: Store>(folder: &Path, open: impl Fn(&Path) -> S) {
    let store = open(folder);
    let [ayşe, burak, zoé] = together(&store).await;
    let stranger = Person::new(60);
    store.register(stranger.registration("지민")).await.unwrap();
    assert_eq!(readable(&store, &stranger).await, None);
    let nowhere = store.room(RoomId::new([7; 32]), ayşe.account, 0, usize::MAX).await;
    assert_eq!(nowhere, Ok(None));

    store.append_room_record(record(6, &zoé, Standing::Former)).await.unwrap();
    store.append_room_record(record(7, &stranger, Standing::Invited)).await.unwrap();
    assert_eq!(readable(&store, &ayşe).await, Some((Standing::Member, 7)));
    assert_eq!(readable(&store, &stranger).await, Some((Standing::Invited, 7)));
    assert_eq!(readable(&store, &zoé).await, Some((Standing::Former, 6)), "up to the one she left by");
    store.append_room_record(record(8, &stranger, Standing::Former)).await.unwrap();
    assert_eq!(readable(&store, &stranger).await, Some((Standing::Former, 8)));
    store.append_room_record(record(9, &zoé, Standing::Invited)).await.unwrap();
    assert_eq!(readable(&store, &zoé).await, Some((Standing::Invited, 9)), "all of it again");
    assert_eq!(readable(&store, &stranger).await, Some((Standing::Former, 8)));

    let page = async |from, bytes| {
        let StoredRoom { records, more, .. } =
            store.room(ROOM, burak.account, from, bytes).await.unwrap().unwrap();
        (records.len(), more)
    };
    assert_eq!(page(0, 1).await, (1, true), "at least one");
    assert_eq!(page(4, usize::MAX).await, (5, false));
    assert_eq!(page(8, 1).await, (1, false));
    assert_eq!(page(9, usize::MAX).await, (0, false));
    assert_eq!(page(u32::MAX, usize::MAX).await, (0, false));
    let some = page(0, 50).await;
    assert!(some.0 > 1 && some.0 < 9 && some.1, "about so many bytes: {some:?}");
    let behind = store.room(ROOM, stranger.account, 8, usize::MAX).await.unwrap().unwrap();
    assert!(behind.records.is_empty() && !behind.more, "nor is it said that there are more");
}

pub async fn rooms_of_an_account<S: Store>(folder: &Path, open: impl Fn(&Path) -> S) {
    let store = open(folder);
    let (ayşe, burak) = friends(&store).await;
    let most = u8::try_from(Quotas::default().rooms).unwrap();
    let begun = |number: u8, person: &Person| NewRoomRecord {
        room: RoomId::new([number; 32]),
        roster: roster(number),
        ..record(1, person, Standing::Member)
    };
    for number in 1..=most {
        store.append_room_record(begun(number, &ayşe)).await.unwrap();
    }
    assert_eq!(store.append_room_record(begun(255, &ayşe)).await, Err(StoreError::RoomFull));
    let follows = |number: u8, roster, previous| NewRoomRecord {
        room: RoomId::new([number; 32]),
        previous: Some(previous),
        roster,
        ..record(2, &ayşe, Standing::Former)
    };
    store.append_room_record(follows(1, roster(251), roster(1))).await.unwrap();
    let again = store.append_room_record(begun(255, &ayşe)).await;
    assert_eq!(again, Err(StoreError::RoomFull), "one that she has begun is hers for as long as it is kept");

    // Nobody is kept from being in a room by being invited into many; coming in takes a place.
    store.append_room_record(begun(255, &burak)).await.unwrap();
    let invited = NewRoomRecord { standing: Standing::Invited, ..follows(255, roster(252), roster(255)) };
    store.append_room_record(invited).await.unwrap();
    let coming = NewRoomRecord { standing: Standing::Member, ..follows(255, roster(253), roster(252)) };
    assert_eq!(store.append_room_record(coming).await, Err(StoreError::RoomFull));
}

pub async fn deserted_rooms<S: Store>(folder: &Path, open: impl Fn(&Path) -> S) {
    let store = open(folder);
    let [ayşe, burak, zoé] = together(&store).await;
    let later = || Millis::now().plus(limits::RETENTION * 2);
    store.prune(later()).await.unwrap();
    assert_eq!(readable(&store, &ayşe).await, Some((Standing::Member, 5)), "somebody is in it");
    for (number, person) in (6..).zip([&ayşe, &burak, &zoé]) {
        store.append_room_record(record(number, person, Standing::Former)).await.unwrap();
    }
    store.prune(Millis::now().plus(limits::RETENTION / 2)).await.unwrap();
    assert_eq!(readable(&store, &zoé).await, Some((Standing::Former, 8)));
    store.prune(later()).await.unwrap();
    assert_eq!(readable(&store, &zoé).await, None);
    let gone = store.append_room_record(record(9, &zoé, Standing::Invited)).await;
    assert_eq!(gone, Err(StoreError::RoomChanged), "there is no room");
}

pub async fn to_a_room<S: Store>(folder: &Path, open: impl Fn(&Path) -> S) {
    let store = open(folder);
    let [ayşe, burak, zoé] = together(&store).await;
    let asked = to_room(&ayşe, &[&burak, &zoé, &ayşe], 1, 5);
    let at = store.submit(asked.clone()).await.unwrap().at;
    assert_eq!(store.submit(asked.clone()).await, accepted(at), "again, with the first time");
    for person in [burak, zoé, ayşe] {
        let entries = store.read(person.account, 0, usize::MAX).await.unwrap();
        let [entry] = entries.as_slice() else { panic!("{entries:?}") };
        assert_eq!((entry.conversation, entry.sender), (asked.conversation, ayşe.account));
        assert_eq!(entry.wraps, person.recipient().wraps, "its own wraps and no other's");
        assert_eq!((entry.accepted_at, &entry.body), (at, &asked.body));
    }
    // Not to all who are in it: whom it is sealed for is the sender's affair.
    store.submit(to_room(&zoé, &[&burak], 2, 5)).await.unwrap();
    assert_eq!(held(&store, &burak).await, [(1, 1), (2, 2)]);
    assert_eq!(held(&store, &ayşe).await, [(1, 1)]);
}

pub async fn refusing_to_a_room<S: Store>(folder: &Path, open: impl Fn(&Path) -> S) {
    let store = open(folder);
    let [ayşe, burak, zoé] = together(&store).await;
    let stranger = Person::new(60);
    store.register(stranger.registration("지민")).await.unwrap();
    let first = to_room(&zoé, &[&ayşe, &burak], 1, 5);
    let at = store.submit(first.clone()).await.unwrap().at;
    store.append_room_record(record(6, &zoé, Standing::Former)).await.unwrap();
    store.append_room_record(record(7, &stranger, Standing::Invited)).await.unwrap();

    let mut superseded = to_room(&ayşe, &[&burak], 2, 7);
    superseded.recipients[0].wraps[0].key = KeyId::new([9; 32]);
    let nowhere = Conversation::Room { room: RoomId::new([7; 32]), roster: roster(7) };
    let nowhere = Submission { conversation: nowhere, ..to_room(&ayşe, &[&burak], 2, 7) };
    for (asked, error) in [
        (to_room(&ayşe, &[&burak], 2, 5), StoreError::RoomChanged),
        (to_room(&ayşe, &[&burak], 2, 99), StoreError::RoomChanged),
        (to_room(&ayşe, &[&burak, &zoé], 2, 7), StoreError::Conflict),
        (to_room(&ayşe, &[&burak, &stranger], 2, 7), StoreError::Conflict),
        (to_room(&zoé, &[&burak], 2, 7), StoreError::NotInRoom),
        (to_room(&zoé, &[&burak], 2, 5), StoreError::NotInRoom),
        (to_room(&stranger, &[&burak], 2, 7), StoreError::NotInRoom),
        (nowhere, StoreError::NotInRoom),
        (superseded, StoreError::KeySuperseded),
    ] {
        assert_eq!(store.submit(asked).await, Err(error));
        assert_eq!(held(&store, &burak).await, [(1, 1)], "into no mailbox");
    }
    assert_eq!(store.submit(first).await, accepted(at), "accepted once, whatever has become of the room");
    store.submit(to_room(&ayşe, &[&burak], 2, 7)).await.unwrap();
    assert_eq!(held(&store, &burak).await, [(1, 1), (2, 2)]);
}

pub async fn leaving_out<S: Store>(folder: &Path, open: impl Fn(&Path) -> S) {
    let store = open(folder);
    let [ayşe, burak, zoé] = together(&store).await;
    // Four of them are a sender's share of a mailbox.
    let large = vec![7; usize::try_from(Quotas::default().sender / 4).unwrap()];
    for number in 1..=4 {
        store.submit(submission(&ayşe, &burak, number, &large)).await.unwrap();
    }
    let asked = to_room(&ayşe, &[&burak, &zoé, &ayşe], 5, 5);
    let Accepted { at, left_out } = store.submit(asked.clone()).await.unwrap();
    assert_eq!(left_out, [burak.account]);
    assert_eq!((held(&store, &zoé).await, held(&store, &ayşe).await), (vec![(1, 5)], vec![(1, 5)]));
    assert_eq!(held(&store, &burak).await.len(), 4);
    for others in [&[&burak][..], &[&burak, &ayşe]] {
        let nobody = store.submit(to_room(&ayşe, others, 6, 5)).await;
        assert_eq!(nobody, Err(StoreError::ShareFull), "a copy of one's own is for nobody else");
    }
    assert_eq!(held(&store, &ayşe).await, [(1, 5)]);
    assert_eq!(store.submit(to_room(&zoé, &[&burak, &ayşe], 7, 5)).await.unwrap().left_out, []);
    store.close().await.unwrap();
    drop(store);

    // What was left out stays left out, though there is room by now.
    let store = open(folder);
    let epoch = store.bounds(burak.account).await.unwrap().epoch;
    store.acknowledge(burak.device, Position { epoch, seq: 5 }).await.unwrap();
    store.prune(Millis::now()).await.unwrap();
    assert_eq!(store.submit(asked).await, Ok(Accepted { at, left_out: vec![burak.account] }));
    assert_eq!(held(&store, &burak).await, []);
    assert_eq!(store.submit(to_room(&ayşe, &[&burak], 8, 5)).await.unwrap().left_out, []);
    for person in [ayşe, zoé] {
        let seq = store.bounds(person.account).await.unwrap().newest;
        store.acknowledge(person.device, Position { epoch, seq }).await.unwrap();
    }
    store.prune(Millis::now()).await.unwrap();
    assert_eq!((held(&store, &ayşe).await, held(&store, &zoé).await), (vec![], vec![]));
}

pub async fn blocking_in_a_room<S: Store>(folder: &Path, open: impl Fn(&Path) -> S) {
    let store = open(folder);
    let [ayşe, burak, zoé] = together(&store).await;
    store.set_blocked(burak.account, ayşe.account, true).await.unwrap();
    let Accepted { at, left_out } = store.submit(to_room(&ayşe, &[&burak, &zoé], 1, 5)).await.unwrap();
    assert_eq!(left_out, [], "she can't tell");
    assert_eq!((held(&store, &burak).await, held(&store, &zoé).await), (vec![], vec![(1, 1)]));
    assert_eq!(store.submit(to_room(&ayşe, &[&burak, &zoé], 1, 5)).await, accepted(at));
    store.submit(to_room(&zoé, &[&burak, &ayşe], 2, 5)).await.unwrap();
    assert_eq!(held(&store, &burak).await, [(1, 2)], "numbered without a hole");
    store.prune(Millis::now()).await.unwrap();
    assert_eq!(held(&store, &zoé).await, [(1, 1)], "what was dropped for one is kept for the other");
}

pub async fn reopening_rooms<S: Store>(folder: &Path, open: impl Fn(&Path) -> S) {
    let store = open(folder);
    let [ayşe, burak, zoé] = together(&store).await;
    store.append_room_record(record(6, &zoé, Standing::Former)).await.unwrap();
    let asked = to_room(&ayşe, &[&burak], 1, 6);
    let at = store.submit(asked.clone()).await.unwrap().at;
    store.close().await.unwrap();
    drop(store);

    let store = open(folder);
    assert_eq!(readable(&store, &burak).await, Some((Standing::Member, 6)));
    assert_eq!(readable(&store, &zoé).await, Some((Standing::Former, 6)));
    let entries = store.read(burak.account, 0, usize::MAX).await.unwrap();
    assert_eq!(entries[0].conversation, asked.conversation);
    assert_eq!(store.submit(asked).await, accepted(at));
    assert_eq!(store.submit(to_room(&ayşe, &[&burak], 2, 5)).await, Err(StoreError::RoomChanged));
    assert_eq!(store.submit(to_room(&zoé, &[&burak], 2, 6)).await, Err(StoreError::NotInRoom));
    store.append_room_record(record(7, &zoé, Standing::Invited)).await.unwrap();
    store.submit(to_room(&burak, &[&ayşe], 3, 7)).await.unwrap();
    assert_eq!(held(&store, &ayşe).await, [(1, 3)]);
}
