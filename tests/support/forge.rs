//! Envelopes as a dishonest owner of somebody's keys would make them, ready to be delivered by a dishonest server.

use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use tellal::crypto::envelope::{Content, Draft, Header, seal, wrap};
use tellal::crypto::record::{MessageKey, verify_account, verify_message_key};
use tellal::crypto::{MessageSecret, PrivateKey, Purpose};
use tellal::model::{
    AccountId, Conversation, DirectoryEntry, EnvelopeHash, MessageId, Millis, Position, Signed, Wrap, to_cbor,
};
use tellal::protocol::message::Push;

use super::people::profile_json;
use super::swap::database;
use super::{Profile, Server};

/// Somebody's device key, and whom envelopes are made for with it.
pub struct Forger {
    /// Whose key it is.
    pub account: AccountId,
    /// The key that signs.
    pub device: PrivateKey,
    /// For whom.
    pub to: AccountId,
    key: MessageKey,
}

/// An envelope, and the key that it is sealed with.
#[derive(Clone)]
pub struct Forged {
    /// Its id.
    pub message: MessageId,
    /// Header, signature, token.
    pub body: Bytes,
    /// For the recipient's one device.
    pub wrap: Wrap,
}

impl Forger {
    /// Takes the key out of one profile, and what the server's directory has of the other.
    pub fn new(server: &Server, from: &Profile, to: &Profile) -> Self {
        let to = account(to);
        let entry = directory_entry(server, to);
        let chain = verify_account(&entry.chain).unwrap();
        let key = verify_message_key(&chain, &entry.message_keys[0]).unwrap();
        let pem = std::fs::read_to_string(from.file("keys/device.pem")).unwrap();
        Self { account: account(from), device: PrivateKey::from_pem(&pem).unwrap(), to, key }
    }

    /// What an envelope outside all chains begins with.
    pub fn draft(&self, sent_at: Millis) -> Draft {
        Draft {
            message: MessageId::generate(),
            account: self.account,
            recipient: Conversation::Account(self.to),
            counter: None,
            previous: EnvelopeHash::new([0; 32]),
            sent_at,
            log: None,
        }
    }

    /// An envelope with nothing wrong but what the draft says.
    pub fn seal(&self, draft: &Draft, text: &str) -> Forged {
        self.seal_content(draft, &Content::Text(text.to_owned()))
    }

    /// The same with any content.
    pub fn seal_content(&self, draft: &Draft, content: &Content) -> Forged {
        let sealed = seal(&self.device, draft, content, MessageSecret::generate()).unwrap();
        let wrap = wrap(&sealed.secret, &sealed.header_hash, &self.key).unwrap();
        Forged { message: draft.message, body: sealed.body, wrap }
    }

    /// Seals a text, and puts it right into the mailbox of a server that is stopped.
    pub fn deliver(&self, server: &Server, text: &str, sent_at: Millis) {
        self.put(server, &self.seal(&self.draft(sent_at), text));
    }

    /// A token under one key, a commitment and a wrap of others, a signature for any purpose: all of it signed by
    /// the device.
    pub fn assemble(
        &self,
        draft: &Draft,
        token: &[u8],
        commit: [u8; 32],
        wrapped: &MessageSecret,
        purpose: Purpose,
    ) -> Forged {
        let header = to_cbor(&Header {
            version: 1,
            message: draft.message,
            account: draft.account,
            device: self.device.public().id().into(),
            recipient: draft.recipient,
            counter: draft.counter,
            previous: draft.previous,
            commit,
            sent_at: draft.sent_at,
            log: draft.log,
        });
        let hashes: [[u8; 32]; 2] = [Sha256::digest(&header).into(), Sha256::digest(token).into()];
        let signature = self.device.sign(purpose, &[&hashes[0], &hashes[1]]).unwrap();
        let wrap = wrap(wrapped, &hashes[0], &self.key).unwrap();
        Forged { message: draft.message, body: join(&[&header, &signature, token]), wrap }
    }

    /// Puts it into the mailbox that it is for, on a server that is stopped.
    pub fn put(&self, server: &Server, forged: &Forged) {
        let db = database(server.data());
        let message = forged.message;
        let (sender, recipient) = (*self.account.as_bytes(), *self.to.as_bytes());
        db.execute(
            "INSERT INTO envelope (device, message, sender, conversation, hash, accepted_at, body)
             VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                self.device.public().id().as_bytes(),
                message.as_bytes(),
                sender,
                recipient,
                [message.as_bytes().as_slice(), message.as_bytes()].concat(),
                Millis::now().0.cast_signed(),
                forged.body.as_ref(),
            ),
        )
        .unwrap();
        let envelope = db.last_insert_rowid();
        db.execute("UPDATE account SET newest = newest + 1 WHERE id = ?", [recipient]).unwrap();
        db.execute(
            "INSERT INTO mailbox (account, seq, envelope, wraps)
             SELECT id, newest, ?, ? FROM account WHERE id = ?",
            (envelope, to_cbor(&vec![forged.wrap.clone()]), recipient),
        )
        .unwrap();
    }

    /// The frame that delivers it, with nothing wrong about it.
    pub fn delivery(&self, forged: &Forged) -> (Push, Bytes) {
        let push = Push::Delivery {
            position: Position::default(),
            sender: self.account,
            device: self.device.public().id().into(),
            message: forged.message,
            conversation: self.to.into(),
            wrap: Some(forged.wrap.clone()),
            accepted_at: Millis::now(),
        };
        (push, forged.body.clone())
    }
}

/// What the server's directory has of an account.
pub fn directory_entry(server: &Server, account: AccountId) -> DirectoryEntry {
    let db = database(server.data());
    let records = |sql: &str| -> Vec<Signed> {
        let mut statement = db.prepare(sql).unwrap();
        let rows = statement.query_map([account.as_bytes()], |row| row.get::<_, Vec<u8>>(0)).unwrap();
        rows.map(|row| minicbor::decode(&row.unwrap()).unwrap()).collect()
    };
    let chain = records("SELECT record FROM account_record WHERE account = ? ORDER BY place");
    let message_keys = records(
        "SELECT message_key.record FROM message_key JOIN device ON device.id = message_key.device
         WHERE device.account = ?",
    );
    DirectoryEntry { chain, message_keys, online: true }
}

/// A profile's account.
pub fn account(profile: &Profile) -> AccountId {
    serde_json::from_value(profile_json(profile)["account"].clone()).unwrap()
}

/// Takes a body apart: header, signature, token.
pub fn parts(body: &[u8]) -> [Vec<u8>; 3] {
    let part = |from: usize| {
        let length = usize::from(u16::from_be_bytes([body[from], body[from + 1]]));
        (body[from + 2..from + 2 + length].to_vec(), from + 2 + length)
    };
    let (header, next) = part(0);
    let (signature, next) = part(next);
    [header, signature, body[next..].to_vec()]
}

/// Puts a body together.
pub fn join([header, signature, token]: &[&[u8]; 3]) -> Bytes {
    let length = |part: &[u8]| u16::try_from(part.len()).unwrap().to_be_bytes();
    [&length(header), *header, &length(signature), *signature, *token].concat().into()
}
