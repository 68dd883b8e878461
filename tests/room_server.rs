//! Rooms as a server keeps them: who may change them, who may read what of them, and into whose mailboxes comes what is
//! for one. Clients are made by hand here, so that they can ask what no good client asks.

#![cfg(all(feature = "client", feature = "server"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test"
)]
#![allow(dead_code, reason = "parts of the support that other tests use")]

#[path = "support/raw.rs"]
mod raw;

use raw::{Person, Raw, Served};
use tellal::crypto::PrivateKey;
use tellal::crypto::room::{self, Room};
use tellal::model::{
    AccountId, BlobId, Conversation, DeviceId, KeyId, MessageId, Millis, Recipient, RoomId, RoomRecordKind,
    RosterId, Signed, Wrap, limits,
};
use tellal::protocol::message::{Answer, Push, RefusalCode, Verb};
use tellal::server::{Limits, Options};
use tellal::store::{NewAccount, NewMessageKey, NewRoomRecord, Quotas, SqliteStore, Standing, Store as _};

/// Somebody on a connection.
struct Guest {
    person: Person,
    raw: Raw,
}

impl Guest {
    async fn register(served: &Served, name: &str) -> Self {
        let person = Person::new(name);
        let raw = Raw::register(served.address, &person).await;
        Self { person, raw }
    }

    fn account(&self) -> AccountId {
        self.person.account()
    }

    async fn publish(&mut self, record: &Signed) -> Result<Answer, RefusalCode> {
        self.raw.ask(Verb::PublishRoomRecord { record: record.clone() }, b"").await
    }

    /// The record behind a chain's newest, by this person.
    fn next(&self, chain: &[Signed], kind: RoomRecordKind) -> Signed {
        signed_by(&self.person.device, self.account(), chain, kind)
    }

    /// Does something in a room.
    async fn act(&mut self, chain: &mut Vec<Signed>, kind: RoomRecordKind) -> Result<(), RefusalCode> {
        let record = self.next(chain, kind);
        assert_eq!(self.publish(&record).await?, Answer::Done);
        chain.push(record);
        Ok(())
    }

    /// Begins a room.
    async fn found(&mut self) -> Vec<Signed> {
        let nonce = rand::random();
        let record = room::found(&self.person.device, self.account(), nonce, Millis::now()).unwrap();
        assert_eq!(self.publish(&record).await, Ok(Answer::Done));
        vec![record]
    }

    /// Lets others come in.
    async fn bring(&mut self, chain: &mut Vec<Signed>, others: &mut [&mut Self]) {
        for other in others {
            self.act(chain, invited(other)).await.unwrap();
            other.act(chain, RoomRecordKind::Joined).await.unwrap();
        }
    }

    async fn read(&mut self, chain: &[Signed], from: u32) -> Result<Vec<Signed>, RefusalCode> {
        match self.raw.ask(Verb::ReadRoom { room: id(chain), from }, b"").await? {
            Answer::Room { records, more: false } => Ok(records),
            other => panic!("{other:?}"),
        }
    }

    /// Submits to others in a room as it is after a chain.
    async fn submit(&mut self, chain: &[Signed], to: &[&Self]) -> Result<Vec<AccountId>, RefusalCode> {
        let recipients = to.iter().map(|guest| guest.person.mailbox()).collect();
        self.ask(submission(chain, recipients), b"sealed").await
    }

    async fn ask(&mut self, verb: Verb, body: &[u8]) -> Result<Vec<AccountId>, RefusalCode> {
        match self.raw.ask(verb, body).await? {
            Answer::Accepted { left_out, .. } => Ok(left_out),
            other => panic!("{other:?}"),
        }
    }

    /// The rooms that this session has been told of.
    async fn told(&mut self) -> Vec<RoomId> {
        // What had to be told before a ping came is told before the next one is read.
        self.raw.send(Verb::Ping, b"").await;
        self.raw.ask(Verb::Ping, b"").await.unwrap();
        let last = self.raw.send(Verb::Ping, b"").await;
        let mut rooms = Vec::new();
        loop {
            match self.raw.pushed().await.unwrap().0 {
                Push::RoomChanged { room } => rooms.push(room),
                Push::Reply { number, .. } if number == last => return rooms,
                Push::Reply { answer: Answer::Done, .. } => {}
                other => panic!("{other:?}"),
            }
        }
    }
}

fn signed_by(device: &PrivateKey, account: AccountId, chain: &[Signed], kind: RoomRecordKind) -> Signed {
    room::next(&read(chain), device, account, kind, Millis::now()).unwrap()
}

fn read(chain: &[Signed]) -> Room {
    Room::read_verified(chain).unwrap()
}

fn id(chain: &[Signed]) -> RoomId {
    read(chain).id
}

fn conversation(chain: &[Signed]) -> Conversation {
    Conversation::Room { room: id(chain), roster: read(chain).roster() }
}

fn submission(chain: &[Signed], recipients: Vec<Recipient>) -> Verb {
    let conversation = conversation(chain);
    Verb::Submit { message: MessageId::generate(), conversation, recipients, blobs: vec![] }
}

fn invited(guest: &Guest) -> RoomRecordKind {
    RoomRecordKind::Invited { account: guest.account() }
}

fn removed(guest: &Guest) -> RoomRecordKind {
    RoomRecordKind::Removed { account: guest.account() }
}

#[tokio::test]
async fn what_is_for_a_room_comes_to_whom_it_is_sealed_for_and_only_from_who_is_in_it() {
    let served = Served::start().await;
    let mut ayşe = Guest::register(&served, "ayşe").await;
    let mut burak = Guest::register(&served, "burak").await;
    let mut zoé = Guest::register(&served, "zoé").await;
    let mut 지민 = Guest::register(&served, "지민").await;
    let mut 小明 = Guest::register(&served, "小明").await;
    let mut chain = ayşe.found().await;
    ayşe.bring(&mut chain, &mut [&mut burak, &mut zoé, &mut 지민]).await;
    ayşe.act(&mut chain, invited(&小明)).await.unwrap();
    assert_eq!(ayşe.submit(&chain, &[&burak, &zoé, &지민]).await, Ok(vec![]));
    for guest in [&mut burak, &mut zoé, &mut 지민] {
        guest.raw.ask(Verb::Subscribe { after: None }, b"").await.unwrap();
        let (delivery, body) = guest.raw.pushed().await.unwrap();
        let Push::Delivery { sender, conversation: to, wrap, .. } = delivery else { panic!("{delivery:?}") };
        assert_eq!((sender, to, &body[..]), (ayşe.person.account(), conversation(&chain), &b"sealed"[..]));
        assert_eq!(wrap.as_ref(), guest.person.mailbox().wraps.first());
        assert!(matches!(guest.raw.pushed().await, Some((Push::Drained { .. }, _))));
    }
    assert_eq!(小明.raw.read_mailbox(None).await.len(), 0);
    assert_eq!(ayşe.raw.read_mailbox(None).await.len(), 0);

    // Nobody but members, by the newest record, to members, to each once.
    let before = chain.clone();
    zoé.act(&mut chain, RoomRecordKind::Left).await.unwrap();
    assert_eq!(ayşe.submit(&before, &[&burak]).await, Err(RefusalCode::RoomChanged));
    assert_eq!(ayşe.submit(&chain, &[&burak, &zoé]).await, Err(RefusalCode::Invalid));
    assert_eq!(ayşe.submit(&chain, &[&burak, &小明]).await, Err(RefusalCode::Invalid));
    assert_eq!(ayşe.submit(&chain, &[&burak, &burak]).await, Err(RefusalCode::Invalid));
    assert_eq!(ayşe.submit(&chain, &[]).await, Err(RefusalCode::Invalid));
    for other in [&chain, &before] {
        // Who is outside learns no more than that: not even which record is the newest, or that there is a room.
        assert_eq!(zoé.submit(other, &[&burak]).await, Err(RefusalCode::NotInRoom));
        assert_eq!(小明.submit(other, &[&burak]).await, Err(RefusalCode::NotInRoom));
    }
    let nowhere = Conversation::Room { room: RoomId::new([7; 32]), roster: RosterId::new([7; 32]) };
    let recipients = vec![burak.person.mailbox()];
    let message = MessageId::generate();
    let nowhere = Verb::Submit { message, conversation: nowhere, recipients, blobs: vec![] };
    assert_eq!(小明.ask(nowhere, b"x").await, Err(RefusalCode::NotInRoom));
    let mut superseded = burak.person.mailbox();
    superseded.wraps[0].key = KeyId::new([9; 32]);
    let superseded = submission(&chain, vec![지민.person.mailbox(), superseded]);
    assert_eq!(ayşe.ask(superseded, b"x").await, Err(RefusalCode::KeySuperseded));
    let to_oneself = Verb::Submit {
        message: MessageId::generate(),
        conversation: ayşe.account().into(),
        recipients: vec![ayşe.person.mailbox(), burak.person.mailbox()],
        blobs: vec![],
    };
    assert_eq!(ayşe.ask(to_oneself, b"x").await, Err(RefusalCode::Invalid));
    assert_eq!(지민.raw.read_mailbox(None).await.len(), 1, "nothing of all that was kept");
}

#[tokio::test]
async fn a_mailbox_that_is_full_or_closed_to_the_sender_keeps_nothing_from_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let quotas = Quotas { mailbox: 40_000, sender: 20_000, ..Quotas::default() };
    let served = Served::start_holding(folder, Options::default(), quotas).await;
    let mut ayşe = Guest::register(&served, "ayşe").await;
    let mut burak = Guest::register(&served, "burak").await;
    let mut zoé = Guest::register(&served, "zoé").await;
    let mut 지민 = Guest::register(&served, "지민").await;
    let mut chain = ayşe.found().await;
    ayşe.bring(&mut chain, &mut [&mut burak, &mut zoé, &mut 지민]).await;
    assert_eq!(ayşe.ask(burak.person.submit(MessageId::generate()), &[7; 20_000]).await, Ok(vec![]));
    let block = Verb::Block { account: ayşe.account() };
    zoé.raw.ask(block, b"").await.unwrap();

    let everybody = [&burak, &zoé, &지민].map(|guest| guest.person.mailbox()).to_vec();
    let verb = submission(&chain, everybody);
    for _ in 0..2 {
        assert_eq!(
            ayşe.ask(verb.clone(), b"once").await,
            Ok(vec![burak.account()]),
            "also when it is repeated"
        );
    }
    assert_eq!(ayşe.ask(verb, b"other").await, Err(RefusalCode::NameReused));
    assert_eq!(지민.raw.read_mailbox(None).await.len(), 1);
    assert_eq!(zoé.raw.read_mailbox(None).await.len(), 0, "she has blocked the sender, who can't tell");
    assert_eq!(ayşe.submit(&chain, &[&burak]).await, Err(RefusalCode::ShareFull), "there is nobody else");
    assert_eq!(지민.submit(&chain, &[&burak, &zoé]).await, Ok(vec![]));
    assert_eq!(burak.raw.read_mailbox(None).await.len(), 2);
}

#[tokio::test]
async fn a_record_is_taken_from_the_device_that_has_made_it_and_from_no_other() {
    let served = Served::start().await;
    let mut ayşe = Guest::register(&served, "ayşe").await;
    let mut burak = Guest::register(&served, "burak").await;
    let mut zoé = Guest::register(&served, "zoé").await;
    let mut chain = ayşe.found().await;
    ayşe.bring(&mut chain, &mut [&mut burak]).await;

    let good = ayşe.next(&chain, invited(&zoé));
    let mut bent = good.clone();
    bent.signature[0] ^= 1;
    let mut longer = good.clone();
    longer.body.push(0);
    let other_device = signed_by(&burak.person.device, ayşe.account(), &chain, invited(&zoé));
    let mut other_room = ayşe.found().await;
    let of_other_room = ayşe.next(&other_room, invited(&zoé));
    let mut mixed = of_other_room.clone();
    mixed.signature = good.signature.clone();
    // Clocks may be a day apart, and no more: when somebody has gone decides which of what they wrote still counts.
    let day = 24 * 3600 * 1000;
    for off in [-day - 60_000, day + 60_000, i64::MIN] {
        let at = Millis(Millis::now().0.saturating_add_signed(off));
        let dated = room::next(&read(&chain), &ayşe.person.device, ayşe.account(), invited(&zoé), at);
        assert_eq!(ayşe.publish(&dated.unwrap()).await, Err(RefusalCode::Invalid), "{off}");
    }
    let nothing = Signed { body: vec![].into(), signature: vec![].into() };
    let twice = ayşe.next(&chain, invited(&burak));
    for wrong in [&bent, &longer, &other_device, &mixed, &nothing, &twice] {
        assert_eq!(ayşe.publish(wrong).await, Err(RefusalCode::Invalid));
    }
    assert_eq!(burak.publish(&good).await, Err(RefusalCode::Invalid), "it is another's");
    let remove = burak.next(&chain, removed(&ayşe));
    assert_eq!(burak.publish(&remove).await, Err(RefusalCode::Invalid), "only its founder may");
    let alone = room::found(&burak.person.device, ayşe.account(), [1; 32], Millis::now()).unwrap();
    assert_eq!(ayşe.publish(&alone).await, Err(RefusalCode::Invalid));
    for outside in [RoomRecordKind::Joined, RoomRecordKind::Left, invited(&zoé)] {
        let record = zoé.next(&chain, outside);
        assert_eq!(zoé.publish(&record).await, Err(RefusalCode::NotInRoom));
    }
    let unknown = RoomRecordKind::Invited { account: AccountId::new([9; 32]) };
    let unknown = ayşe.next(&chain, unknown);
    assert_eq!(ayşe.publish(&unknown).await, Err(RefusalCode::UnknownRecipient));
    assert_eq!(burak.read(&chain, 0).await, Ok(chain.clone()), "none of them has come into the chain");

    // Repeating is harmless, also when others have gone on; what has been overtaken is refused.
    for _ in 0..2 {
        assert_eq!(ayşe.publish(&good).await, Ok(Answer::Done));
    }
    let late = burak.next(&chain, RoomRecordKind::Left);
    assert_eq!(burak.publish(&late).await, Err(RefusalCode::RoomChanged));
    chain.push(good.clone());
    burak.act(&mut chain, RoomRecordKind::Left).await.unwrap();
    assert_eq!(ayşe.publish(&good).await, Ok(Answer::Done));
    assert_eq!(ayşe.publish(&chain[0].clone()).await, Ok(Answer::Done));
    assert_eq!(ayşe.read(&chain, 0).await, Ok(chain.clone()));
    ayşe.act(&mut other_room, invited(&burak)).await.unwrap();
}

#[tokio::test]
async fn a_room_is_read_by_who_is_in_it_and_by_who_was_as_far_as_that() {
    let served = Served::start().await;
    let mut ayşe = Guest::register(&served, "ayşe").await;
    let mut burak = Guest::register(&served, "burak").await;
    let mut zoé = Guest::register(&served, "zoé").await;
    let mut 지민 = Guest::register(&served, "지민").await;
    let mut chain = ayşe.found().await;
    ayşe.bring(&mut chain, &mut [&mut burak, &mut zoé]).await;
    ayşe.act(&mut chain, removed(&burak)).await.unwrap();
    let then = chain.clone();
    ayşe.act(&mut chain, invited(&지민)).await.unwrap();
    assert_eq!(zoé.read(&chain, 0).await, Ok(chain.clone()));
    assert_eq!(zoé.read(&chain, 5).await, Ok(chain[5..].to_vec()));
    assert_eq!(zoé.read(&chain, 7).await, Ok(vec![]));
    assert_eq!(지민.read(&chain, 0).await, Ok(chain.clone()), "who is invited sees who is there");
    assert_eq!(burak.read(&chain, 0).await, Ok(then.clone()), "up to the one that he was removed by");
    assert_eq!(burak.read(&chain, u32::try_from(then.len()).unwrap()).await, Ok(vec![]));
    let back = burak.next(&then, RoomRecordKind::Joined);
    assert_eq!(burak.publish(&back).await, Err(RefusalCode::NotInRoom));
    지민.act(&mut chain, RoomRecordKind::Left).await.unwrap();
    assert_eq!(지민.read(&chain, 0).await, Ok(chain.clone()), "an invitation that was not taken up");

    let mut 小明 = Guest::register(&served, "小明").await;
    let nowhere = Verb::ReadRoom { room: RoomId::new([7; 32]), from: 0 };
    assert_eq!(小明.read(&chain, 0).await, Err(RefusalCode::NotInRoom));
    assert_eq!(小明.raw.ask(nowhere, b"").await, Err(RefusalCode::NotInRoom));
}

#[tokio::test]
async fn a_long_chain_is_read_page_by_page() {
    let served = Served::start().await;
    let mut ayşe = Guest::register(&served, "ayşe").await;
    let burak = Guest::register(&served, "burak").await;
    let mut chain = ayşe.found().await;
    // 2048-bit signatures: some 480 bytes a record, and two pages.
    while chain.len() < 300 {
        let kind = if chain.len() % 2 == 1 { invited(&burak) } else { removed(&burak) };
        ayşe.act(&mut chain, kind).await.unwrap();
    }
    let (mut got, mut pages) = (Vec::new(), 0);
    loop {
        let from = u32::try_from(got.len()).unwrap();
        let read = ayşe.raw.ask(Verb::ReadRoom { room: id(&chain), from }, b"").await;
        let Ok(Answer::Room { records, more }) = read else { panic!("{read:?}") };
        got.extend(records);
        pages += 1;
        if !more {
            break;
        }
    }
    assert!(got == chain && pages > 1, "{} in {pages}", got.len());
}

#[tokio::test]
async fn a_room_takes_so_many_people_and_an_account_so_many_rooms() {
    let folder = tempfile::tempdir().unwrap();
    let options = Served::limited(Limits { room: 2, ..Limits::default() });
    let quotas = Quotas { rooms: 2, ..Quotas::default() };
    let served = Served::start_holding(folder, options, quotas).await;
    let mut ayşe = Guest::register(&served, "ayşe").await;
    let mut burak = Guest::register(&served, "burak").await;
    let zoé = Guest::register(&served, "zoé").await;
    let mut chain = ayşe.found().await;
    ayşe.act(&mut chain, invited(&burak)).await.unwrap();
    assert_eq!(
        ayşe.act(&mut chain, invited(&zoé)).await,
        Err(RefusalCode::RoomFull),
        "who is invited counts"
    );
    burak.act(&mut chain, RoomRecordKind::Joined).await.unwrap();
    assert_eq!(burak.act(&mut chain, invited(&zoé)).await, Err(RefusalCode::RoomFull));
    burak.act(&mut chain, RoomRecordKind::Left).await.unwrap();
    ayşe.act(&mut chain, invited(&zoé)).await.unwrap();

    let mut second = ayşe.found().await;
    let third = room::found(&ayşe.person.device, ayşe.account(), [3; 32], Millis::now()).unwrap();
    assert_eq!(ayşe.publish(&third).await, Err(RefusalCode::RoomFull));
    ayşe.act(&mut second, RoomRecordKind::Left).await.unwrap();
    assert_eq!(ayşe.publish(&third).await, Err(RefusalCode::RoomFull), "what she has begun counts");
    let (mut one, _other) = (burak.found().await, burak.found().await);
    burak.act(&mut one, invited(&ayşe)).await.unwrap();
    assert_eq!(ayşe.act(&mut one, RoomRecordKind::Joined).await, Err(RefusalCode::RoomFull));
}

#[tokio::test]
async fn who_has_read_a_room_is_told_of_new_records_of_all_of_theirs_and_nobody_else_is() {
    let served = Served::start().await;
    let mut ayşe = Guest::register(&served, "ayşe").await;
    let mut burak = Guest::register(&served, "burak").await;
    let mut zoé = Guest::register(&served, "zoé").await;
    let mut 지민 = Guest::register(&served, "지민").await;
    let mut 小明 = Guest::register(&served, "小明").await;
    let mut chain = ayşe.found().await;
    let room = id(&chain);
    ayşe.bring(&mut chain, &mut [&mut burak, &mut 지민]).await;
    burak.read(&chain, 0).await.unwrap();
    assert_eq!(小明.read(&chain, 0).await, Err(RefusalCode::NotInRoom));
    let mut other = ayşe.found().await;
    // An invitation is told to who has read a room, whichever it was.
    ayşe.act(&mut other, invited(&burak)).await.unwrap();
    assert_eq!(burak.told().await, [id(&other)]);
    ayşe.act(&mut chain, invited(&zoé)).await.unwrap();
    assert_eq!(burak.told().await, [room]);
    zoé.read(&chain, 0).await.unwrap();
    zoé.act(&mut chain, RoomRecordKind::Joined).await.unwrap();
    assert_eq!(burak.told().await, [room]);
    assert_eq!(zoé.told().await, [room]);
    // Who is removed is told of that, and then of nothing more.
    ayşe.act(&mut chain, removed(&zoé)).await.unwrap();
    assert_eq!(zoé.told().await, [room]);
    ayşe.act(&mut chain, removed(&지민)).await.unwrap();
    assert_eq!(zoé.told().await, []);
    assert_eq!(지민.told().await, [], "has read none");
    assert_eq!(小明.told().await, [], "is in none");
    assert!(burak.told().await.contains(&room));
    assert_eq!(burak.read(&chain, 0).await, Ok(chain));
}

#[tokio::test]
async fn a_restart_keeps_rooms_and_what_was_sent_to_them() {
    let served = Served::start().await;
    let mut ayşe = Guest::register(&served, "ayşe").await;
    let mut burak = Guest::register(&served, "burak").await;
    let mut zoé = Guest::register(&served, "zoé").await;
    let mut chain = ayşe.found().await;
    ayşe.bring(&mut chain, &mut [&mut burak, &mut zoé]).await;
    zoé.act(&mut chain, RoomRecordKind::Left).await.unwrap();
    let verb = submission(&chain, vec![burak.person.mailbox()]);
    assert_eq!(ayşe.ask(verb.clone(), b"before").await, Ok(vec![]));

    let served = Served::start_in(served.stop().await, Options::default()).await;
    for guest in [&mut ayşe, &mut burak, &mut zoé] {
        guest.raw = Raw::login(served.address, &guest.person).await;
        assert_eq!(guest.read(&chain, 0).await, Ok(chain.clone()));
    }
    assert_eq!(zoé.submit(&chain, &[&burak]).await, Err(RefusalCode::NotInRoom));
    ayşe.act(&mut chain, invited(&zoé)).await.unwrap();
    assert_eq!(ayşe.ask(verb, b"before").await, Ok(vec![]), "accepted once, whatever the room is by now");
    assert_eq!(ayşe.submit(&chain, &[&burak]).await, Ok(vec![]));
    burak.told().await;
    let bodies: Vec<_> = burak.raw.read_mailbox(None).await.into_iter().map(|(_, body)| body).collect();
    assert_eq!(bodies, [&b"before"[..], b"sealed"]);
}

/// An id of nobody's.
fn id32(number: usize, kind: u8) -> [u8; 32] {
    let mut bytes = [kind; 32];
    bytes[..8].copy_from_slice(&number.to_be_bytes());
    bytes
}

/// Somebody of whom there is no more than the store has: it verifies nothing.
fn stored(number: usize) -> NewAccount {
    let nothing = Signed { body: number.to_be_bytes().to_vec().into(), signature: vec![1].into() };
    let (device, key) = (DeviceId::new(id32(number, 2)), KeyId::new(id32(number, 3)));
    let until = Millis::now().plus(limits::MESSAGE_KEY_LIFE);
    NewAccount {
        account: AccountId::new(id32(number, 1)),
        nickname: format!("guest{number}").parse().unwrap(),
        device,
        record: nothing.clone(),
        message_key: NewMessageKey { device, key, until, supersedes: None, record: nothing },
        invite: None,
    }
}

#[tokio::test]
async fn an_envelope_goes_to_as_many_as_wraps_are_allowed_however_large_their_keys() {
    let served = Served::start().await;
    let mut ayşe = Guest::register(&served, "ayşe").await;
    let chain = ayşe.found().await;
    let mut previous = read(&chain).roster();
    let folder = served.stop().await;
    let store = SqliteStore::open(folder.path()).unwrap();
    let mut recipients = Vec::new();
    for number in 0..=limits::WRAPS {
        let new = stored(number);
        let wrap = Wrap {
            device: new.device,
            key: new.message_key.key,
            ciphertext: vec![7; *limits::CIPHERTEXT.end()].into(),
        };
        recipients.push(Recipient { account: new.account, wraps: vec![wrap] });
        let roster = RosterId::new(id32(number, 4));
        let record = NewRoomRecord {
            room: id(&chain),
            previous: Some(previous),
            roster,
            record: new.record.clone(),
            account: new.account,
            standing: Standing::Member,
        };
        previous = roster;
        store.register(new).await.unwrap();
        store.append_room_record(record).await.unwrap();
    }
    store.close().await.unwrap();
    drop(store);

    // One to as many counts as one for every ten.
    let few = Limits { messages: 60, ..Limits::default() };
    let served = Served::start_in(folder, Served::limited(few)).await;
    ayşe.raw = Raw::login(served.address, &ayşe.person).await;
    let blobs: Vec<BlobId> = (0..16).map(|number| BlobId::new(id32(number, 5))).collect();
    for blob in &blobs {
        ayşe.raw.ask(Verb::PutChunk { blob: *blob, index: 0 }, b"chunk").await.unwrap();
        ayşe.raw.ask(Verb::SealBlob { blob: *blob, chunks: 1 }, b"").await.unwrap();
    }
    let conversation = Conversation::Room { room: id(&chain), roster: previous };
    let submit = |recipients: &[Recipient]| Verb::Submit {
        message: MessageId::generate(),
        conversation,
        recipients: recipients.to_vec(),
        blobs: blobs.clone(),
    };
    let body = vec![7; limits::BODY];
    assert_eq!(ayşe.ask(submit(&recipients[..limits::WRAPS]), &body).await, Ok(vec![]));
    let nine = submit(&recipients[..9]);
    assert_eq!(ayşe.ask(nine, b"x").await, Ok(vec![]), "52 of 60 were used");
    let another = submit(&recipients[..limits::WRAPS]);
    assert_eq!(ayşe.ask(another, b"x").await, Ok(vec![]), "one that is larger than what is left goes");
    assert_eq!(ayşe.ask(submit(&recipients[..1]), b"x").await, Err(RefusalCode::Limited));

    let served = Served::start_in(served.stop().await, Options::default()).await;
    ayşe.raw = Raw::login(served.address, &ayşe.person).await;
    let mut one_too_many = recipients.clone();
    one_too_many.iter_mut().for_each(|recipient| recipient.wraps[0].ciphertext = vec![7; 256].into());
    assert_eq!(ayşe.ask(submit(&one_too_many), b"x").await, Err(RefusalCode::TooLarge));
}
