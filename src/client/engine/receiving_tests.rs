use rusqlite::Connection;

use super::*;
use crate::client::db::{contacts, memory};
use crate::client::engine::allowance::Allowance;
use crate::client::engine::{Keys, Me};
use crate::client::{Body, Message};
use crate::crypto::MessageSecret;
use crate::crypto::envelope::{Draft, Header, SealedEnvelope, seal};
use crate::crypto::test_keys::{AYŞE, BURAK};
use crate::model::{Conversation, DirectoryEntry};

/// burak writes, ayşe receives.
struct Scene {
    db: Connection,
    me: Me,
    burak: Arc<Person>,
    keys: Keys,
    seq: u64,
    allowance: Allowance,
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
        Self { db, me, burak: Arc::new(burak), keys, seq: 0, allowance: Allowance::default() }
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
                let known = inbox::known(&self.db, &one.delivered.device, &one.delivered.message).unwrap();
                open(one, known, me, &AYŞE.device, Some(&self.burak), &self.keys)
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
