use std::fs;
use std::sync::LazyLock;

use super::inbox::{Fit, Noticed, Place};
use super::*;
use crate::client::{Body, Delivery, MessageRef};
use crate::crypto::MessageSecret;
use crate::crypto::envelope::{Header, SealedEnvelope};
use crate::model::{
    AccountId, Address, BlobId, Conversation, DeviceId, EnvelopeHash, MessageId, Millis, Nickname, Position,
    RoomId, RosterId,
};

const PHONE: DeviceId = DeviceId::new([7; 32]);
const ME: AccountId = AccountId::new([8; 32]);
const BURAK: AccountId = AccountId::new([9; 32]);
static TO_BURAK: LazyLock<Address> = LazyLock::new(|| name("burak").into());

fn name(text: &str) -> Nickname {
    text.parse().unwrap()
}

/// Who writes to whom.
struct Names {
    from: Nickname,
    peer: Address,
    to: Address,
}

fn between(from: &str, to: &str) -> Names {
    Names { from: name(from), peer: name(from).into(), to: to.parse().unwrap() }
}

/// What is received of burak's.
fn incoming<'a>(body: &'a Body, names: &'a Names, complete: bool) -> messages::New<'a> {
    messages::New {
        id: MessageId::generate(),
        device: PHONE,
        own: false,
        peer: &names.peer,
        from: &names.from,
        to: &names.to,
        color: "teal".parse().unwrap(),
        body,
        sent_at: Millis(1),
        received_at: Some(Millis(2)),
        seq: Some(1),
        counter: None,
        chain: None,
        delivery: None,
        late: false,
        signer: None,
        key_changed: false,
        complete,
    }
}

fn text(words: &str) -> Body {
    Body::Text { text: words.to_owned() }
}

fn voice() -> Body {
    Body::voice(5, 16_000, 3, vec![1, 2])
}

fn place(counter: u64, previous: EnvelopeHash, sender: &Nickname) -> Place<'_> {
    let (hash, chain, peer) = (hash(counter), *ME.as_bytes(), &*TO_BURAK);
    Place { account: BURAK, device: PHONE, chain, counter, previous, hash, void: false, sender, peer }
}

fn hash(counter: u64) -> EnvelopeHash {
    EnvelopeHash::new([u8::try_from(counter % 200).unwrap() + 1; 32])
}

fn previous(counter: u64) -> EnvelopeHash {
    counter.checked_sub(1).map_or(Header::NONE_BEFORE, hash)
}

#[test]
fn a_message_waits_for_the_sound_of_the_one_before_it() {
    let db = memory();
    let names = between("burak", "ayşe");
    let note = messages::insert(&db, &incoming(&voice(), &names, false)).unwrap();
    messages::insert(&db, &incoming(&text("after"), &names, true)).unwrap();
    assert!(messages::release_ready(&db, &PHONE).unwrap().is_empty());
    assert!(messages::unshown(&db).unwrap().is_empty());
    attachments::put(&db, note, 0, b"wav").unwrap();
    fetches::end(&db, note).unwrap();
    let released = messages::release_ready(&db, &PHONE).unwrap();
    assert_eq!(released.iter().map(|message| message.number).collect::<Vec<_>>(), [1, 2]);
    assert!(matches!(released[0].body, Body::Voice { .. }));
    assert_eq!(attachments::all(&db, note).unwrap(), b"wav");
}

#[test]
fn what_waits_for_sound_that_does_not_come_is_found_after_a_while() {
    let db = memory();
    let names = between("burak", "ayşe");
    let note = messages::insert(&db, &incoming(&voice(), &names, false)).unwrap();
    assert_eq!(messages::overtaken(&db, Millis(2)).unwrap(), [], "nothing waits for it");
    let text = messages::insert(&db, &incoming(&text("after"), &names, true)).unwrap();
    assert_eq!(messages::overtaken(&db, Millis(1)).unwrap(), [], "it may still come");
    let [late] = &messages::overtaken(&db, Millis(2)).unwrap()[..] else { panic!() };
    assert_eq!((late.device, &late.sender, &late.behind[..]), (PHONE, &names.from, &[text][..]));
    assert_eq!(messages::release(&db, text).unwrap().number, 1);
    assert_eq!(messages::overtaken(&db, Millis(2)).unwrap(), []);
    // It has its place when it comes.
    fetches::end(&db, note).unwrap();
    let released = messages::release_ready(&db, &PHONE).unwrap();
    assert_eq!(released.iter().map(|message| message.number).collect::<Vec<_>>(), [2]);
}

#[test]
fn history_is_found_by_person_words_number_and_id() {
    let db = memory();
    let names = between("burak", "ayşe");
    for words in ["Merhaba dünya", "안녕 지민", "GÜNAYDIN"] {
        let row = messages::insert(&db, &incoming(&text(words), &names, true)).unwrap();
        messages::release(&db, row).unwrap();
    }
    let found = |search: &str| messages::history(&db, Some(&name("Burak").into()), Some(search), 10).unwrap();
    assert_eq!(found("DÜNYA merhaba").len(), 1);
    assert_eq!(found("지민").len(), 1);
    assert_eq!(found("günaydin").len(), 1);
    assert_eq!(found("%").len(), 0);
    let newest = messages::history(&db, None, None, 2).unwrap();
    assert_eq!(newest.iter().map(|message| message.number).collect::<Vec<_>>(), [2, 3]);
    assert!(messages::history(&db, Some(&name("zoé").into()), None, 10).unwrap().is_empty());
    let (_, last) = messages::find(&db, MessageRef::Last, messages::Kind::Text).unwrap().unwrap();
    assert_eq!(last.number, 3);
    let (_, same) = messages::find(&db, MessageRef::Id(last.id), messages::Kind::Text).unwrap().unwrap();
    assert_eq!(same, last);
    assert!(messages::find(&db, MessageRef::Number(9), messages::Kind::Text).unwrap().is_none());
    assert!(messages::find(&db, MessageRef::Last, messages::Kind::Voice).unwrap().is_none());
    assert_eq!(messages::unread(&db).unwrap(), [(name("burak").into(), 3)]);
    messages::mark_shown(&db, &[1, 2]).unwrap();
    assert_eq!(messages::unshown(&db).unwrap(), [last]);
}

#[test]
fn a_chain_shows_what_is_missing_and_takes_it_late() {
    let db = memory();
    let burak = name("burak");
    let link = |counter, previous| inbox::link(&db, &place(counter, previous, &burak), Millis(50)).unwrap();
    assert_eq!(link(0, previous(0)), Fit::Fits);
    assert_eq!(link(1, previous(1)), Fit::Fits);
    assert_eq!(link(5, previous(5)), Fit::Gap);
    assert_eq!(inbox::announce_gaps(&db, Millis(49)).unwrap(), []);
    assert_eq!(link(3, previous(3)), Fit::Fits);
    assert_eq!(link(3, previous(3)), Fit::Wrong, "the same number twice");
    let announced = inbox::announce_gaps(&db, Millis(50)).unwrap();
    assert_eq!(announced, [(burak.clone(), TO_BURAK.clone(), 1), (burak.clone(), TO_BURAK.clone(), 1)]);
    assert_eq!(inbox::announce_gaps(&db, Millis(50)).unwrap(), [], "said once");
    assert_eq!(link(2, previous(2)), Fit::Fits);
    assert_eq!(link(6, hash(0)), Fit::Wrong, "another message was meant before it");
    assert_eq!(link(7, previous(7)), Fit::Fits);
    assert_eq!(link(u64::MAX, previous(0)), Fit::Wrong);
}

#[test]
fn what_follows_a_void_may_mean_the_message_that_it_replaces() {
    let db = memory();
    let burak = name("burak");
    let void = Place { void: true, ..place(0, previous(0), &burak) };
    assert_eq!(inbox::link(&db, &void, Millis(1)).unwrap(), Fit::Fits);
    assert_eq!(inbox::link(&db, &place(1, hash(99), &burak), Millis(1)).unwrap(), Fit::Fits);
    assert_eq!(inbox::link(&db, &place(2, hash(99), &burak), Millis(1)).unwrap(), Fit::Wrong);
}

#[test]
fn names_are_kept_and_noticed_once() {
    let db = memory();
    let id = MessageId::generate();
    assert_eq!(inbox::known(&db, &PHONE, &id).unwrap(), None);
    inbox::remember(&db, &PHONE, &id, &hash(3)).unwrap();
    assert_eq!(inbox::known(&db, &PHONE, &id).unwrap(), Some(hash(3)));
    assert!(inbox::remember(&db, &PHONE, &id, &hash(4)).is_err());
    assert!(inbox::notice_once(&db, &PHONE, &id, Noticed::Broken).unwrap());
    assert!(!inbox::notice_once(&db, &PHONE, &id, Noticed::Broken).unwrap());
    assert!(inbox::notice_once(&db, &PHONE, &id, Noticed::Fork).unwrap());
}

#[test]
fn a_cursor_reads_back_whatever_its_epoch() {
    let db = memory();
    assert_eq!(inbox::cursor(&db).unwrap(), None);
    for position in [Position { epoch: u64::MAX, seq: 7 }, Position { epoch: 1, seq: 2 }] {
        inbox::set_cursor(&db, position).unwrap();
        assert_eq!(inbox::cursor(&db).unwrap(), Some(position));
    }
}

#[test]
fn the_outbox_keeps_order_and_counts_each_chain() {
    let db = memory();
    let names = between("burak", "ayşe");
    let mut rows = Vec::new();
    for words in ["one", "two"] {
        let body = text(words);
        let new =
            messages::New { own: true, delivery: Some(&Delivery::Queued), ..incoming(&body, &names, true) };
        let row = messages::insert(&db, &new).unwrap();
        outbox::append(&db, Some(row), &new.id, &names.peer).unwrap();
        rows.push(row);
    }
    assert_eq!(outbox::count(&db).unwrap(), 2);
    let first = outbox::next(&db, 0).unwrap().unwrap();
    assert_eq!(first.arrival, Some(rows[0]));
    assert!(first.sealed.is_none() && first.link.is_none());
    let link = outbox::next_link(&db, ME.into()).unwrap();
    assert_eq!((link.counter, link.previous), (0, Header::NONE_BEFORE));
    let envelope = crate::crypto::envelope::SealedEnvelope {
        body: b"body".to_vec().into(),
        hash: hash(0),
        header_hash: [1; 32],
        secret: crate::crypto::MessageSecret::generate(),
    };
    outbox::store_sealed(&db, first.place, &link, &envelope, None).unwrap();
    let again = outbox::next(&db, 0).unwrap().unwrap();
    assert_eq!(again.link, Some(link));
    assert_eq!(again.sealed.unwrap().body, envelope.body);
    let next = outbox::next_link(&db, ME.into()).unwrap();
    assert_eq!((next.counter, next.previous), (1, hash(0)));
    // A void takes the same place in the chain, under a name of its own.
    outbox::make_void(&db, first.place).unwrap();
    let void = outbox::next(&db, 0).unwrap().unwrap();
    assert!(void.arrival.is_none() && void.sealed.is_none() && void.id != first.id);
    assert_eq!(void.link, Some(link));
    outbox::store_sealed(&db, first.place, &link, &envelope, None).unwrap();
    assert_eq!(outbox::next_link(&db, ME.into()).unwrap(), next);
    outbox::remove(&db, first.place).unwrap();
    assert_eq!(outbox::next(&db, 0).unwrap().unwrap().arrival, Some(rows[1]));
}

#[test]
fn a_note_that_was_begun_under_other_keys_leaves_whole_as_a_note_of_its_own() {
    let db = memory();
    let names = between("burak", "ayşe");
    let body = Body::live(24_000);
    let new = messages::New { own: true, delivery: Some(&Delivery::Queued), ..incoming(&body, &names, true) };
    let row = messages::insert(&db, &new).unwrap();
    speaking::begin(&db, row, Millis(1)).unwrap();
    outbox::append(&db, Some(row), &new.id, &names.peer).unwrap();
    // The server has its opening.
    speaking::set_opening(&db, row, &[1; 32]).unwrap();
    let opening = outbox::next(&db, 0).unwrap().unwrap();
    assert!(outbox::remove(&db, opening.place).unwrap());
    assert!(!outbox::remove(&db, opening.place).unwrap(), "it is gone already");
    let note = speaking::of(&db, row).unwrap().unwrap();
    speaking::end(&db, &note, speaking::Ended::Done, &[0; 4]).unwrap();
    outbox::begin_anew(&db).unwrap();
    speaking::begin_anew(&db).unwrap();
    let anew = speaking::of(&db, row).unwrap().unwrap();
    assert!(anew.opening.is_none() && anew.blob != note.blob);
    let opening = outbox::next(&db, 0).unwrap().unwrap();
    assert_eq!((opening.arrival, opening.closes, opening.id), (Some(row), false, new.id));
    let closing = outbox::next(&db, opening.place).unwrap().unwrap();
    assert_eq!((closing.arrival, closing.closes), (Some(row), true));
    assert!(outbox::next(&db, closing.place).unwrap().is_none());
    // What has not left yet keeps its place.
    speaking::begin_anew(&db).unwrap();
    assert_eq!(outbox::next(&db, 0).unwrap().unwrap().place, opening.place);
}

#[tokio::test]
async fn a_commit_is_on_the_disk_before_it_is_one_and_what_is_deleted_is_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::new(folder.path());
    home.create().unwrap();
    Db::begin(home.clone()).await.unwrap();
    let db = Db::open(home).await.unwrap();
    let pragma =
        |name: &'static str| db.run(move |db| db.pragma_query_value(None, name, |row| row.get::<_, u32>(0)));
    // 2: FULL (https://sqlite.org/pragma.html#pragma_synchronous).
    assert_eq!((pragma("synchronous").await.unwrap(), pragma("secure_delete").await.unwrap()), (2, 1));
    let mode = db.run(|db| db.pragma_query_value(None, "journal_mode", |row| row.get::<_, String>(0)));
    assert_eq!(mode.await.unwrap(), "wal");
    db.close().await;
}

#[tokio::test]
async fn the_file_is_encrypted_and_a_damaged_one_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::new(folder.path());
    home.create().unwrap();
    Db::begin(home.clone()).await.unwrap();
    let db = Db::open(home.clone()).await.unwrap();
    let stored = db.write(|db| {
        let names = between("burak", "ayşe");
        messages::insert(db, &incoming(&text("a secret among friends"), &names, true))
    });
    stored.await.unwrap();
    db.close().await;
    let bytes = fs::read(home.database()).unwrap();
    assert!(!bytes.starts_with(b"SQLite format 3"));
    assert!(!bytes.windows(8).any(|part| part == b"a secret"));
    fs::write(home.path().join("history.key"), "ab".repeat(32)).unwrap();
    let Err(error) = Db::open(home).await else { panic!("opened with another key") };
    assert!(matches!(error, ClientError::Damaged { path, .. } if path.ends_with("history.db")));
}

#[tokio::test]
async fn a_history_that_is_gone_is_not_replaced_by_an_empty_one() {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::new(folder.path());
    home.create().unwrap();
    Db::begin(home.clone()).await.unwrap();
    let is_missing = async || matches!(Db::open(home.clone()).await, Err(ClientError::Damaged { what, .. }) if what == "the history is missing");
    assert!(!is_missing().await);
    fs::write(home.database(), "").unwrap();
    assert!(is_missing().await, "it was emptied");
    fs::remove_file(home.database()).unwrap();
    assert!(is_missing().await, "it was removed");
    // A registration that broke off goes on from wherever it was.
    Db::begin(home.clone()).await.unwrap();
    assert!(!is_missing().await);
}

#[test]
fn what_was_heard_of_a_voice_note_is_kept_and_the_next_one_is_known() {
    let db = memory();
    let (burak, zoé) = (between("burak", "ayşe"), between("zoé", "ayşe"));
    let mut number = 0;
    let mut arrive = |body: &Body, names| {
        number += 1;
        let id = MessageId::from_bytes([number; 16]);
        let row = messages::insert(&db, &messages::New { id, ..incoming(body, names, true) }).unwrap();
        messages::release(&db, row).unwrap().number
    };
    let [first, other, words, last] = [
        arrive(&voice(), &burak),
        arrive(&voice(), &zoé),
        arrive(&text("hi"), &burak),
        arrive(&voice(), &burak),
    ];
    let heard = |number| match messages::find(&db, MessageRef::Number(number), messages::Kind::Voice)
        .unwrap()
        .unwrap()
        .1
        .body
    {
        Body::Voice { listened, position_ms, .. } => (listened, position_ms),
        _ => panic!("no voice note"),
    };
    let next = |after| messages::next_voice(&db, after).unwrap().map(|message| message.number);
    assert_eq!(
        (heard(first), next(first), next(words), next(last), next(other)),
        ((false, 0), Some(last), Some(last), None, None)
    );
    messages::mark_heard(&db, first, 1_200, false).unwrap();
    assert_eq!(heard(first), (false, 1_200));
    messages::mark_heard(&db, first, 0, true).unwrap();
    // Begun again, it was listened to all the same.
    messages::mark_heard(&db, first, 300, false).unwrap();
    assert_eq!(heard(first), (true, 300));
    messages::mark_heard(&db, last, 0, true).unwrap();
    assert_eq!(next(first), None);
    messages::mark_heard(&db, 99, 5, true).unwrap();
}

#[test]
fn what_is_to_be_heard_is_so_until_it_was_heard_to_its_end() {
    let db = memory();
    let (burak, zoé) = (between("burak", "ayşe"), between("zoé", "ayşe"));
    let come = |body: &Body, names: &Names| {
        let row = messages::insert(&db, &incoming(body, names, true)).unwrap();
        messages::release(&db, row).unwrap().number
    };
    let to_hear = |from: Option<&str>| -> Vec<u64> {
        let from = from.map(|from| name(from).into());
        let messages = messages::to_hear(&db, from.as_ref()).unwrap();
        messages.iter().map(|message| message.number).collect()
    };
    let (note, words, other) =
        (come(&voice(), &burak), come(&text("words"), &zoé), come(&text("more"), &burak));
    assert!(to_hear(None).is_empty());
    messages::mark_to_hear(&db, &[other, words, note, 99], true).unwrap();
    assert_eq!((to_hear(None), to_hear(Some("Zoé"))), (vec![note, words, other], vec![words]));
    messages::mark_heard(&db, note, 3, false).unwrap();
    messages::mark_heard(&db, words, 0, true).unwrap();
    assert_eq!(to_hear(None), [note, other]);
    messages::mark_to_hear(&db, &[other], false).unwrap();
    messages::mark_heard(&db, note, 0, true).unwrap();
    assert!(to_hear(None).is_empty());
    // There is an end to it.
    let many: Vec<u64> = (0..1_010).map(|_| come(&text("words"), &burak)).collect();
    messages::mark_to_hear(&db, &many[..600], true).unwrap();
    messages::mark_to_hear(&db, &many, true).unwrap();
    assert_eq!(to_hear(None), many[..1_000]);
}

#[test]
fn a_hole_that_a_block_explains_is_never_announced_and_the_next_one_is() {
    let db = memory();
    let burak = name("burak");
    let link =
        |counter| inbox::link(&db, &place(counter, previous(counter), &burak), Millis(counter)).unwrap();
    let announced = || inbox::announce_gaps(&db, Millis(1_000)).unwrap();
    assert_eq!(link(0), Fit::Fits);
    blocks::set(&db, &BURAK, true).unwrap();
    assert_eq!(blocks::untold(&db).unwrap(), [(BURAK, true)]);
    // Sent before the block, fetched after it; then one that came before the server was told.
    assert_eq!((link(1), link(4)), (Fit::Fits, Fit::Gap));
    blocks::note_told(&db, &BURAK, true).unwrap();
    assert!(blocks::is_blocked(&db, &BURAK).unwrap() && blocks::untold(&db).unwrap().is_empty());

    blocks::set(&db, &BURAK, false).unwrap();
    blocks::set(&db, &BURAK, false).unwrap();
    assert_eq!(blocks::untold(&db).unwrap(), [(BURAK, false)]);
    assert_eq!(link(5), Fit::Fits);
    assert_eq!((link(9), link(10)), (Fit::Gap, Fit::Fits));
    assert_eq!(link(7), Fit::Fits, "late, but here");
    assert_eq!(announced(), [], "all of that was dropped by one's own wish");
    assert_eq!(link(13), Fit::Gap);
    assert_eq!(announced(), [(burak.clone(), TO_BURAK.clone(), 2)], "this was not");
}

#[test]
fn who_was_blocked_before_they_ever_wrote_leaves_no_gap_either() {
    let db = memory();
    let burak = name("burak");
    blocks::set(&db, &BURAK, true).unwrap();
    blocks::set(&db, &BURAK, false).unwrap();
    assert!(blocks::all(&db).unwrap().is_empty());
    assert_eq!(inbox::link(&db, &place(3, previous(3), &burak), Millis(1)).unwrap(), Fit::Gap);
    assert_eq!(inbox::announce_gaps(&db, Millis(2)).unwrap(), []);
    assert_eq!(inbox::link(&db, &place(6, previous(6), &burak), Millis(3)).unwrap(), Fit::Gap);
    assert_eq!(inbox::announce_gaps(&db, Millis(4)).unwrap(), [(burak, TO_BURAK.clone(), 2)]);
}

#[test]
fn what_is_missing_in_one_conversation_holds_up_nothing_in_another() {
    let db = memory();
    let (burak, direct) = (name("burak"), between("burak", "ayşe"));
    let to: Address = "#garden".parse().unwrap();
    let garden = Names { from: burak.clone(), peer: to.clone(), to };
    let (first, second) = ([1; 32], [2; 32]);
    let insert = |words: &str, names: &Names, chain, place, counter| {
        let body = text(words);
        let new = incoming(&body, names, true);
        let new = messages::New { counter: Some(counter), chain: Some((chain, place)), ..new };
        messages::insert(&db, &new).unwrap()
    };
    let released = || {
        let released = messages::release_ready(&db, &PHONE).unwrap().into_iter();
        let texts = released.map(|message| match message.body {
            Body::Text { text } => text,
            other => panic!("{other:?}"),
        });
        texts.collect::<Vec<_>>()
    };
    // Something is missing in the room as it was first; the room has changed since.
    let place = Place { chain: first, peer: &garden.peer, ..place(1, previous(1), &burak) };
    assert_eq!(inbox::link(&db, &place, Millis(5)).unwrap(), Fit::Gap);
    insert("third", &garden, second, 4, 0);
    insert("second", &garden, first, 2, 1);
    insert("merhaba", &direct, *ME.as_bytes(), 0, 1);
    assert_eq!(released(), ["merhaba"]);
    let announced = inbox::announce_gaps(&db, Millis(5)).unwrap();
    assert_eq!(announced, [(burak.clone(), garden.peer.clone(), 1)]);
    assert_eq!(released(), ["second", "third"]);
    assert_eq!(messages::unread(&db).unwrap(), [(direct.peer, 1), (garden.peer, 2)]);
}

#[test]
fn what_was_sealed_for_a_room_as_it_was_is_unsealed_whole_and_has_its_place_in_the_next_chain() {
    let db = memory();
    let (room, to) = (RoomId::new([5; 32]), "#garden".parse::<Address>().unwrap());
    let as_it_was = |roster: u8| Conversation::Room { room, roster: RosterId::new([roster; 32]) };
    let row = messages::insert(&db, &incoming(&text("merhaba"), &between("ayşe", "#garden"), true)).unwrap();
    outbox::append(&db, Some(row), &MessageId::generate(), &to).unwrap();
    let place = outbox::next(&db, 0).unwrap().unwrap().place;
    let seal = |conversation| {
        let link = outbox::next_link(&db, conversation).unwrap();
        let (body, secret) = (vec![1].into(), MessageSecret::generate());
        let envelope = SealedEnvelope { body, hash: hash(1), header_hash: [2; 32], secret };
        outbox::store_sealed(&db, place, &link, &envelope, None).unwrap();
        link
    };
    let link = seal(as_it_was(1));
    let item = outbox::next(&db, 0).unwrap().unwrap();
    assert_eq!((item.link, item.sealed.is_some()), (Some(link), true));
    outbox::unseal(&db, place).unwrap();
    let item = outbox::next(&db, 0).unwrap().unwrap();
    assert!(item.link.is_none() && item.sealed.is_none() && item.arrival == Some(row));
    // Another chain begins; of the former one the place stays taken.
    assert_eq!(seal(as_it_was(2)).counter, 0);
    assert_eq!(outbox::next_link(&db, as_it_was(1)).unwrap().counter, 1);
    // Sound that the server has may stay there: it is no part of the envelope.
    let sound = |place| {
        let item = outbox::next(&db, place - 1).unwrap().unwrap();
        assert!(item.link.is_none() && item.sealed.is_none());
        item.sound.map(|sound| (sound.sealed_for, sound.blob, sound.uploaded))
    };
    outbox::unseal_for_room(&db, place).unwrap();
    assert_eq!(sound(place), None);
    let blob = BlobId::new([6; 32]);
    let seal_with = |roster, blob| {
        let link = outbox::next_link(&db, as_it_was(roster)).unwrap();
        let (body, secret) = (vec![1].into(), MessageSecret::generate());
        let envelope = SealedEnvelope { body, hash: hash(1), header_hash: [2; 32], secret };
        outbox::store_sealed(&db, place, &link, &envelope, Some((blob, 3))).unwrap();
        outbox::next(&db, place - 1).unwrap().unwrap().sealed.unwrap().uploaded
    };
    assert!(!seal_with(3, blob));
    outbox::mark_uploaded(&db, place, true).unwrap();
    outbox::unseal_for_room(&db, place).unwrap();
    assert_eq!(sound(place), Some((as_it_was(3), blob, true)));
    assert!(seal_with(4, blob));
    outbox::unseal_for_room(&db, place).unwrap();
    assert!(!seal_with(5, BlobId::new([7; 32])), "another one is not there");
    // A void only held a place that nobody will look for.
    outbox::make_void(&db, place).unwrap();
    outbox::unseal(&db, place).unwrap();
    assert!(outbox::next(&db, 0).unwrap().is_none());
}
