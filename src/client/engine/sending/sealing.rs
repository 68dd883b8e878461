//! From what was written to its envelope, which is stored together with its counter: whatever ends the process, no
//! counter is used twice.

use crate::client::db::attachments::{self, Measured};
use crate::client::db::outbox::{Item, Sealed};
use crate::client::db::speaking::{self, Speaking};
use crate::client::db::{messages, outbox, rooms};
use crate::client::engine::{Engine, Trouble, compute, lock};
use crate::client::{Body, Message};
use crate::crypto::envelope::{Content, Draft, Invitation, LiveClosing, VoiceData, VoiceManifest, seal};
use crate::crypto::{MessageSecret, chunk};
use crate::model::{BlobId, Conversation, Millis};

/// What is about to be sealed.
enum What {
    Void,
    Message(Box<Message>, Measured),
    /// The beginning of a live note, and when that was.
    Opening(Speaking, Millis),
    Closing(LiveClosing),
    Invitation(Invitation, Millis),
}

impl Engine {
    /// Seals an item, and stores the envelope together with its counter. `Err`: why it never can be.
    pub(super) async fn seal(&self, item: Item, to: Conversation) -> Result<Result<Sealed, String>, Trouble> {
        let (arrival, closes) = (item.arrival, item.closes);
        let loaded = self.db.run(move |db| {
            let link = outbox::next_link(db, to)?;
            let Some(arrival) = arrival else { return Ok((link, What::Void)) };
            let note = speaking::of(db, arrival)?;
            if closes {
                let closing = note.map(|note| note.closing_content(db)).transpose()?;
                return Ok((link, closing.map_or(What::Void, What::Closing)));
            }
            let message = messages::by_arrival(db, arrival)?;
            if let Some(note) = note {
                return Ok((link, What::Opening(note, message.sent_at)));
            }
            if let Body::Invitation { room } = &message.body {
                let known = rooms::by_name(db, room)?;
                let way = known.map(|known| Invitation { room: known.id, name: known.name });
                return Ok((link, way.map_or(What::Void, |way| What::Invitation(way, message.sent_at))));
            }
            let sound = match message.body {
                Body::Voice { .. } => attachments::measure(db, arrival)?,
                _ => Measured::default(),
            };
            Ok((link, What::Message(Box::new(message), sound)))
        });
        let (next, loaded) = loaded.await?;
        let sound = match item.sound {
            Some(sound) if self.may_hear(&sound.sealed_for, &to).await? => Some(sound),
            _ => None,
        };
        let uploaded = sound.as_ref().is_some_and(|sound| sound.uploaded);
        let link = item.link.unwrap_or(next);
        let (sent_at, opens) = match &loaded {
            What::Message(message, _) => (message.sent_at, false),
            What::Invitation(_, sent_at) => (*sent_at, false),
            What::Opening(_, sent_at) => (*sent_at, true),
            What::Closing(_) | What::Void => (Millis::now(), false),
        };
        let draft = Draft {
            message: item.id,
            account: self.me.account,
            recipient: link.to,
            counter: Some(link.counter),
            previous: link.previous,
            sent_at,
            log: *lock(&self.head),
        };
        let key = self.device_key.clone();
        let sealing = compute(move || {
            let blob = sound.as_ref().map(|sound| sound.blob);
            let mut secret = sound.map_or_else(MessageSecret::generate, |sound| sound.secret);
            let content = match loaded {
                What::Void => Content::Void,
                What::Message(message, sound) => content(message.body, sound, blob),
                What::Invitation(way, _) => Content::Invitation(way),
                What::Closing(closing) => Content::LiveClosing(closing),
                What::Opening(note, _) => {
                    secret = note.secret.clone();
                    Content::LiveOpening(note.opening_content())
                }
            };
            let blob = match &content {
                Content::Voice(VoiceManifest { data: VoiceData::Blob { id, chunks }, .. }) => {
                    Some((*id, *chunks))
                }
                _ => None,
            };
            seal(&key, &draft, &content, secret).map(|envelope| (envelope, blob))
        });
        let (envelope, blob) = match sealing.await? {
            Ok(sealed) => sealed,
            Err(error) => return Ok(Err(error.to_string())),
        };
        let stored = envelope.clone();
        self.db
            .write(move |db| {
                if let (true, Some(arrival)) = (opens, arrival) {
                    speaking::set_opening(db, arrival, &stored.header_hash)?;
                }
                outbox::store_sealed(db, item.place, &link, &stored, blob)
            })
            .await?;
        if opens {
            self.speaking.notify_one();
        }
        let (body, header_hash, secret) = (envelope.body, envelope.header_hash, envelope.secret);
        Ok(Ok(Sealed { body, header_hash, secret, blob, uploaded }))
    }

    /// Whether everybody whom sound was sealed for is in the room, as it is now: who has gone is to hear nothing more.
    async fn may_hear(&self, then: &Conversation, now: &Conversation) -> Result<bool, Trouble> {
        let (Conversation::Room { room, roster: then }, Conversation::Room { room: same, roster: now }) =
            (then, now)
        else {
            return Ok(false);
        };
        let Some(room) = self.room(*room).await?.filter(|room| room.id == *same) else { return Ok(false) };
        let (then, now) = (room.members_at(then), room.members_at(now));
        Ok(then.zip(now).is_some_and(|(then, now)| then.is_subset(&now)))
    }
}

/// What a message of one's own is sealed as. `blob`: where its sound is, or will be, if that is so already.
fn content(body: Body, sound: Measured, blob: Option<BlobId>) -> Content {
    match body {
        Body::Text { text } | Body::Notice { text } => Content::Text(text),
        // It leads into a room, and is sealed as that.
        Body::Invitation { .. } => Content::Void,
        Body::Voice { duration_ms, sample_rate, peaks, .. } => {
            let Measured { size, sha256, inline } = sound;
            let data = match inline {
                Some(sound) => VoiceData::Inline(sound.into()),
                None => {
                    let fresh = || {
                        let mut id = [0; 32];
                        rand::fill(&mut id);
                        BlobId::new(id)
                    };
                    VoiceData::Blob { id: blob.unwrap_or_else(fresh), chunks: chunk::count(size) }
                }
            };
            Content::Voice(VoiceManifest {
                data,
                name: "voice.wav".to_owned(),
                media_type: "audio/wav".to_owned(),
                size,
                sha256,
                duration_ms,
                sample_rate,
                peaks: peaks.into(),
            })
        }
    }
}
