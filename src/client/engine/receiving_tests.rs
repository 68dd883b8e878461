use rusqlite::Connection;

use super::*;
use crate::client::db::rooms::{self, Standing, Stored};
use crate::client::db::{contacts, memory};
use crate::client::engine::allowance::Allowance;
use crate::client::engine::{Keys, Me};
use crate::client::{Body, Message};
use crate::crypto::MessageSecret;
use crate::crypto::envelope::{Draft, Header, Invitation, SealedEnvelope, seal};
use crate::crypto::room::{Room, found, next};
use crate::crypto::test_keys::{AYŞE, BURAK, THEN, ZOÉ};
use crate::model::{Address, Conversation, DirectoryEntry, RoomRecordKind, RosterId, Signed};

/// burak writes, ayşe receives.
struct Scene {
    db: Connection,
    me: Me,
    burak: Arc<Person>,
    keys: Keys,
    seq: u64,
    allowance: Allowance,
    /// The one that envelopes for rooms are checked against.
    room: Option<Arc<Room>>,
    /// Whether the server may have more of it than could be read.
    unread: bool,
}

impl Scene {
    fn new() -> Self {
        let mut db = memory();
        let burak = Person {
            account: BURAK.account.clone(),
            keys: Vec::new(),
            records: Vec::new(),
            held: false,
            unlogged: false,
            fetched_at: Millis::now(),
        };
        let entry = DirectoryEntry { chain: Vec::new(), message_keys: Vec::new(), online: true };
        let transaction = db.transaction().unwrap();
        contacts::meet(&transaction, &burak.account, &entry, Millis::now()).unwrap();
        transaction.commit().unwrap();
        let me = Me {
            identity: AYŞE.account.identity.id(),
            account: AYŞE.account.id,
            device: AYŞE.device.public().id().into(),
            nickname: AYŞE.account.nickname.clone(),
            color: AYŞE.account.color,
        };
        let key = crate::crypto::PrivateKey::from_pem(&AYŞE.message.to_pem()).unwrap();
        let keys = Keys::from([(key.public().id(), Arc::new(key))]);
        Self {
            db,
            me,
            burak: Arc::new(burak),
            keys,
            seq: 0,
            allowance: Allowance::default(),
            room: None,
            unread: false,
        }
    }

    /// An envelope of burak's to ayşe.
    fn sealed(&self, id: MessageId, counter: u64, previous: EnvelopeHash, text: &str) -> SealedEnvelope {
        let draft = Draft {
            message: id,
            account: self.burak.account.id,
            recipient: Conversation::Account(self.me.account),
            counter: Some(counter),
            previous,
            sent_at: Millis::now(),
            log: None,
        };
        seal(&BURAK.device, &draft, &Content::Text(text.to_owned()), MessageSecret::generate()).unwrap()
    }

    fn arrived(&mut self, id: MessageId, envelope: &SealedEnvelope) -> Arrived {
        self.seq += 1;
        Arrived {
            position: Position { epoch: 1, seq: self.seq },
            delivered: Delivered {
                sender: self.burak.account.id,
                device: self.burak.account.devices[0].id,
                message: id,
                conversation: self.me.account.into(),
            },
            wrap: Some(envelope.wrap_for(&AYŞE.message_key).unwrap()),
            accepted_at: Millis::now(),
            body: envelope.body.clone(),
        }
    }

    /// Takes a batch in, as the core does; what is told about it.
    fn take_in(&mut self, batch: &[Arrived]) -> Vec<Message> {
        let me = Recipient { account: self.me.account, device: self.me.device };
        let opened: Vec<Outcome> = batch
            .iter()
            .map(|one| {
                let hash = inbox::known(&self.db, &one.delivered.device, &one.delivered.message).unwrap();
                let room = self.room.as_ref();
                let known = Known { person: Some(&self.burak), room, unread: self.unread, hash };
                open(one, known, me, &AYŞE.device, &self.keys)
            })
            .collect();
        let transaction = self.db.transaction().unwrap();
        let mut events = Vec::new();
        for (arrived, outcome) in batch.iter().zip(&opened) {
            store(&transaction, &self.me, arrived, outcome, &mut self.allowance, &mut events).unwrap();
        }
        transaction.commit().unwrap();
        events
            .into_iter()
            .map(|event| match event {
                Event::Message(message) => message,
                other => panic!("{other:?}"),
            })
            .collect()
    }
}

fn is_notice(message: &Message) -> bool {
    matches!(message.body, Body::Notice { .. })
}

#[test]
fn a_broken_copy_is_noticed_once_and_does_not_suppress_the_good_one() {
    let mut scene = Scene::new();
    let id = MessageId::generate();
    let envelope = scene.sealed(id, 0, Header::NONE_BEFORE, "merhaba");
    let good = scene.arrived(id, &envelope);
    let broken = |flip: usize| {
        let mut body = envelope.body.to_vec();
        let place = body.len() - 1 - flip;
        body[place] ^= 1;
        body
    };
    let copies: Vec<Arrived> = (0..2)
        .map(|flip| Arrived {
            body: broken(flip).into(),
            wrap: good.wrap.clone(),
            ..scene.arrived(id, &envelope)
        })
        .collect();
    let other_wrap = scene.sealed(id, 0, Header::NONE_BEFORE, "other");
    let misled = Arrived { wrap: scene.arrived(id, &other_wrap).wrap, ..scene.arrived(id, &envelope) };
    let unwrapped = Arrived { wrap: None, ..scene.arrived(id, &envelope) };

    let said = scene.take_in(&copies);
    assert!(said.len() == 1 && is_notice(&said[0]), "{said:?}");
    assert!(scene.take_in(&[misled, unwrapped]).is_empty());
    let said = scene.take_in(&[good]);
    assert_eq!(said.len(), 1);
    assert_eq!(said[0].body, Body::Text { text: "merhaba".to_owned() });
    assert!(scene.take_in(&copies).is_empty());
}

#[test]
fn a_repetition_is_dropped_and_a_fork_is_shown() {
    let mut scene = Scene::new();
    let id = MessageId::generate();
    let envelope = scene.sealed(id, 0, Header::NONE_BEFORE, "merhaba");
    let (first, again, later) =
        (scene.arrived(id, &envelope), scene.arrived(id, &envelope), scene.arrived(id, &envelope));
    assert_eq!(scene.take_in(&[first, again]).len(), 1);
    assert!(scene.take_in(&[later]).is_empty());
    let fork = scene.sealed(id, 0, Header::NONE_BEFORE, "something else");
    let said = [scene.arrived(id, &fork), scene.arrived(id, &fork)];
    let said = scene.take_in(&said);
    assert!(said.len() == 1 && is_notice(&said[0]), "{said:?}");
}

#[test]
fn a_message_that_does_not_follow_the_one_before_it_is_shown_with_a_notice() {
    let mut scene = Scene::new();
    let (one, two) = (MessageId::generate(), MessageId::generate());
    let first = scene.sealed(one, 0, Header::NONE_BEFORE, "one");
    let second = scene.sealed(two, 1, EnvelopeHash::new([9; 32]), "two");
    let batch = [scene.arrived(one, &first), scene.arrived(two, &second)];
    let said = scene.take_in(&batch);
    assert_eq!(said.iter().map(is_notice).collect::<Vec<_>>(), [false, true, false]);
}

#[test]
fn nothing_of_another_sender_or_for_another_receiver_is_opened() {
    let mut scene = Scene::new();
    let id = MessageId::generate();
    let envelope = scene.sealed(id, 0, Header::NONE_BEFORE, "merhaba");
    let mut moved = scene.arrived(id, &envelope);
    moved.delivered.conversation = scene.burak.account.id.into();
    let mut renamed = scene.arrived(id, &envelope);
    renamed.delivered.message = MessageId::generate();
    let mut mine = scene.arrived(id, &envelope);
    mine.delivered.device = scene.me.device;
    let said = scene.take_in(&[moved, renamed, mine]);
    assert!(said.iter().all(is_notice), "{said:?}");
    assert!(messages::history(&scene.db, None, Some("merhaba"), 10).unwrap().is_empty());
}

/// Records of a room: ayşe's first, and those that follow.
struct Chain {
    room: Room,
    records: Vec<Signed>,
}

impl Chain {
    fn begin() -> Self {
        let first = found(&AYŞE.device, AYŞE.account.id, [7; 32], THEN).unwrap();
        Self { room: Room::found(&first, &AYŞE.account).unwrap(), records: vec![first] }
    }

    /// Somebody's next record; the room after it.
    fn by(
        &mut self,
        person: &crate::crypto::test_keys::Person,
        kind: RoomRecordKind,
        now: Millis,
    ) -> RosterId {
        let record = next(&self.room, &person.device, person.account.id, kind, now).unwrap();
        self.room.append(&record, &person.account).unwrap();
        self.records.push(record);
        self.room.roster()
    }

    /// With burak in it; the room by then.
    fn with_burak() -> (Self, RosterId) {
        let mut chain = Self::begin();
        chain.by(&AYŞE, RoomRecordKind::Invited { account: BURAK.account.id }, THEN);
        let roster = chain.by(&BURAK, RoomRecordKind::Joined, THEN);
        (chain, roster)
    }
}

impl Scene {
    /// ayşe is in this room, which she calls #garden.
    fn in_room(&mut self, chain: &Chain) {
        let (id, name) = (chain.room.id, "garden".parse().unwrap());
        if self.room.is_none() {
            rooms::begin(&self.db, &Stored { id, name, standing: Standing::Member }).unwrap();
        }
        self.room = Some(Arc::new(chain.room.clone()));
    }

    /// What burak has written to a room as it was then.
    fn written(&mut self, conversation: Conversation, content: &Content, sent_at: Millis) -> Arrived {
        let id = MessageId::generate();
        let draft = Draft {
            message: id,
            account: self.burak.account.id,
            recipient: conversation,
            counter: Some(0),
            previous: Header::NONE_BEFORE,
            sent_at,
            log: None,
        };
        let envelope = seal(&BURAK.device, &draft, content, MessageSecret::generate()).unwrap();
        let arrived = self.arrived(id, &envelope);
        let delivered = Delivered { conversation, ..arrived.delivered };
        Arrived { delivered, ..arrived }
    }
}

fn merhaba() -> Content {
    Content::Text("merhaba".to_owned())
}

#[test]
fn what_is_written_to_a_room_is_shown_there_and_what_is_wrong_with_it_too() {
    let mut scene = Scene::new();
    let (chain, roster) = Chain::with_burak();
    let room = chain.room.id;
    scene.in_room(&chain);
    let good = scene.written(Conversation::Room { room, roster }, &merhaba(), Millis::now());
    let said = scene.take_in(&[good]);
    let garden: Address = "#garden".parse().unwrap();
    assert!(
        said.len() == 1 && said[0].to == garden && said[0].from == scene.burak.account.nickname,
        "{said:?}"
    );
    // Before burak was in it; by a wrong wrap; what is not for rooms.
    let early = RosterId::new(*room.as_bytes());
    let early = scene.written(Conversation::Room { room, roster: early }, &merhaba(), Millis::now());
    let now = Conversation::Room { room, roster };
    let unwrapped = Arrived { wrap: None, ..scene.written(now, &merhaba(), Millis::now()) };
    let way = Content::Invitation(Invitation { room, name: "cellar".parse().unwrap() });
    let way = scene.written(now, &way, Millis::now());
    for refused in [early, unwrapped, way] {
        let said = scene.take_in(&[refused]);
        assert!(said.len() == 1 && is_notice(&said[0]) && said[0].to == garden, "{said:?}");
    }
    assert_eq!(messages::history(&scene.db, Some(&garden), Some("merhaba"), 10).unwrap().len(), 1);
    assert!(rooms::ways(&scene.db).unwrap().is_empty());
}

#[test]
fn a_record_that_a_member_names_and_the_server_hides_is_said_loudly_once_and_what_names_it_waits() {
    let mut scene = Scene::new();
    let (mut chain, _) = Chain::with_burak();
    scene.in_room(&chain);
    let room = chain.room.id;
    let hidden = chain.by(&AYŞE, RoomRecordKind::Invited { account: ZOÉ.account.id }, THEN);
    let conversation = Conversation::Room { room, roster: hidden };
    let batch = [(); 2].map(|()| scene.written(conversation, &merhaba(), Millis::now()));
    let said = scene.take_in(&batch);
    assert!(said.len() == 1 && is_notice(&said[0]), "{said:?}");
    let Body::Notice { text } = &said[0].body else { panic!() };
    assert!(text.starts_with("WARNING: burak has written to #garden"), "{text}");
    assert_eq!(fetches::keep_from(&scene.db, 1).unwrap(), Some(batch[0].position.seq));
    // Anybody could name what there is not: of whoever has never been in the room nothing is believed.
    let stranger = Chain::begin();
    let mut other = Scene::new();
    other.in_room(&stranger);
    let conversation = Conversation::Room { room: stranger.room.id, roster: hidden };
    let made_up = other.written(conversation, &merhaba(), Millis::now());
    let said = other.take_in(&[made_up]);
    let Body::Notice { text } = &said[0].body else { panic!() };
    assert!(text.contains("could not be opened"), "{text}");
    // The server shows it: what waited is read.
    scene.in_room(&chain);
    let said = scene.take_in(&batch);
    assert!(said.iter().any(|message| !is_notice(message)), "{said:?}");
    assert_eq!(fetches::keep_from(&scene.db, 1).unwrap(), None);
}

#[test]
fn what_is_by_somebody_who_has_gone_from_a_room_is_taken_as_long_as_it_may_be_on_its_way() {
    let day = |days: u64| Millis(Millis::now().0.saturating_sub(days * 24 * 3600 * 1000));
    for (gone, written, taken) in [(1, 2, true), (29, 30, true), (5, 2, false), (31, 32, false)] {
        let mut scene = Scene::new();
        let (mut chain, roster) = Chain::with_burak();
        let conversation = Conversation::Room { room: chain.room.id, roster };
        chain.by(&BURAK, RoomRecordKind::Left, day(gone));
        scene.in_room(&chain);
        let arrived = scene.written(conversation, &merhaba(), day(written));
        let said = scene.take_in(&[arrived]);
        assert_eq!(said.iter().filter(|message| !is_notice(message)).count(), usize::from(taken), "{gone}");
    }
}

#[test]
fn what_names_a_record_that_could_not_be_read_for_now_waits_and_the_server_is_not_accused() {
    let mut scene = Scene::new();
    let (mut chain, _) = Chain::with_burak();
    scene.in_room(&chain);
    scene.unread = true;
    let room = chain.room.id;
    let roster = chain.by(&AYŞE, RoomRecordKind::Invited { account: ZOÉ.account.id }, THEN);
    let conversation = Conversation::Room { room, roster };
    let batch = [scene.written(conversation, &merhaba(), Millis::now())];
    let said = scene.take_in(&batch);
    let [Message { body: Body::Notice { text }, .. }] = &said[..] else { panic!("{said:?}") };
    assert!(text.contains("waits on the server") && !text.contains("WARNING"), "{text}");
    assert_eq!(fetches::keep_from(&scene.db, 1).unwrap(), Some(batch[0].position.seq));
    // Nor where nothing of the room could be read.
    let known = scene.room.take();
    assert_eq!(scene.take_in(&batch).len(), 0, "it is said once");
    assert_eq!(fetches::keep_from(&scene.db, 1).unwrap(), Some(batch[0].position.seq));
    scene.room = known;
    scene.in_room(&chain);
    let said = scene.take_in(&batch);
    assert!(said.len() == 1 && !is_notice(&said[0]), "{said:?}");
    assert_eq!(fetches::keep_from(&scene.db, 1).unwrap(), None);
}

#[test]
fn nothing_waits_for_a_record_that_only_the_header_names_and_not_its_frame() {
    let mut scene = Scene::new();
    let (chain, roster) = Chain::with_burak();
    scene.in_room(&chain);
    let room = chain.room.id;
    for unread in [false, true] {
        scene.unread = unread;
        let made_up = Conversation::Room { room, roster: RosterId::new([9; 32]) };
        let arrived = scene.written(made_up, &merhaba(), Millis::now());
        let conversation = Conversation::Room { room, roster };
        let delivered = Delivered { conversation, ..arrived.delivered };
        let said = scene.take_in(&[Arrived { delivered, ..arrived }]);
        let [Message { body: Body::Notice { text }, .. }] = &said[..] else { panic!("{said:?}") };
        assert!(text.contains("could not be opened"), "{text}");
        assert_eq!(fetches::keep_from(&scene.db, 1).unwrap(), None);
    }
}

#[test]
fn what_was_taken_in_is_nothing_new_when_it_is_read_again_whatever_has_become_of_the_room() {
    let mut scene = Scene::new();
    let (mut chain, roster) = Chain::with_burak();
    let conversation = Conversation::Room { room: chain.room.id, roster };
    scene.in_room(&chain);
    let long_ago = Millis(Millis::now().0.saturating_sub(32 * 24 * 3600 * 1000));
    let batch = [scene.written(conversation, &merhaba(), long_ago)];
    assert_eq!(scene.take_in(&batch).iter().filter(|message| !is_notice(message)).count(), 1);
    chain.by(&BURAK, RoomRecordKind::Left, Millis(long_ago.0 + 1));
    scene.in_room(&chain);
    assert!(scene.take_in(&batch).is_empty());
    scene.room = None;
    assert!(scene.take_in(&batch).is_empty());
    // The same name with another content is still that.
    let [Arrived { delivered, .. }] = &batch;
    let other = scene.written(conversation, &merhaba(), long_ago);
    let said = scene.take_in(&[Arrived { delivered: *delivered, ..other }]);
    assert!(said.len() == 1 && is_notice(&said[0]), "{said:?}");
}
