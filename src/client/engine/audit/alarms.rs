//! What is alarming about the log, in words: kept, and said once.

use crate::client::db::log::{self, Finding};
use crate::client::device::short;
use crate::client::engine::{Engine, Session, Trouble, lock, notice};
use crate::client::{Alarm, AlarmKind, Event};
use crate::crypto::{Evidence, Proof, PublicKey};
use crate::model::log::record_hash;
use crate::model::{
    AccountRecord, AccountRecordKind, DeviceId, Millis, NameHash, Nickname, Signed, from_canonical_cbor,
};

/// An alarm that is about to be raised.
pub(super) struct Raise {
    kind: AlarmKind,
    nickname: Option<Nickname>,
    text: String,
    /// What tells it from others of its kind.
    about: Vec<u8>,
    proof: Option<Proof>,
}

impl Raise {
    pub fn new(kind: AlarmKind, about: &[u8], text: impl Into<String>) -> Self {
        Self { kind, nickname: None, text: text.into(), about: about.to_vec(), proof: None }
    }

    pub fn proven_by(self, proof: Option<Proof>) -> Self {
        Self { proof, ..self }
    }
}

impl Engine {
    pub(super) async fn too_long(&self, size: u64) -> Result<(), Trouble> {
        let text = format!(
            "the server says that its transparency log has {size} entries: that is more than can be verified here, \
             and new accounts can't be relied on. Ask whoever runs the server"
        );
        self.raise(vec![Raise::new(AlarmKind::Contradicts, b"size", text)]).await
    }

    pub(super) async fn contradicts(&self) -> Result<(), Trouble> {
        let text = "the server's transparency log contradicts itself: its entries are not what it has signed. \
                    Ask whoever runs the server";
        self.raise(vec![Raise::new(AlarmKind::Contradicts, b"", text)]).await
    }

    pub(super) async fn forked(&self, evidence: Evidence) -> Result<(), Trouble> {
        let text = "the server has signed two transparency logs that contradict each other: it shows different \
                    people different accounts, and may have given out false keys. The proof is kept: \
                    `tellal audit --export FILE` writes it. Compare fingerprints with your friends before you \
                    write anything that matters";
        let about = evidence.smaller.clone().into_bytes();
        let raise = Raise::new(AlarmKind::Forked, &about, text);
        self.raise(vec![raise.proven_by(Some(Proof::Logs(evidence)))]).await
    }

    /// Says what leaves have told and was not said yet: once, whatever breaks it off.
    pub(super) async fn say(&self, session: &Session) -> Result<(), Trouble> {
        let findings = self.db.run(|db| log::findings(db)).await?;
        let Some(last) = findings.last().map(|(place, _)| *place) else { return Ok(()) };
        let findings: Vec<Finding> = findings.into_iter().map(|(_, finding)| finding).collect();
        let me = self.me.nickname.clone();
        let foreign = findings.iter().any(|finding| matches!(finding, Finding::OwnName(_)));
        // That a leaf is not of one's own making has to be said also where nobody answers what it is. Then it is asked
        // again, and what it is said as well.
        let (chain, is_known) = match foreign {
            true => match self.ask_for_own_chain(session).await {
                Ok(chain) => (chain, true),
                Err(Trouble::Local(error)) => return Err(error.into()),
                Err(_) => (Vec::new(), false),
            },
            false => (Vec::new(), true),
        };
        let names = self.db.run(|db| crate::client::db::contacts::names(db)).await?;
        let raised = findings.into_iter().map(|finding| match finding {
            Finding::OwnName(record) if chain.iter().any(|own| record_hash(own) == record) => Raise {
                nickname: Some(me.clone()),
                ..Raise::new(AlarmKind::OwnAccount, &record, foreign_change(&chain, &record))
            },
            Finding::OwnName(record) => Raise {
                nickname: Some(me.clone()),
                ..Raise::new(
                    AlarmKind::OwnName,
                    &record,
                    format!(
                        "someone registered a key in your name, {me}: it was not made on this profile. Tell your \
                         friends to compare fingerprints with you, and ask whoever runs the server"
                    ),
                )
            },
            Finding::SecondChain(name) | Finding::BrokenChain(name) => {
                let known = names.iter().find(|known| NameHash::of(known) == name).cloned();
                let who = known.as_ref().map_or("somebody you don't know".to_owned(), ToString::to_string);
                let text = format!(
                    "the server's transparency log has a second account under the name of {who}: one of the two \
                     is false. Compare fingerprints with {who} before you write anything that matters"
                );
                Raise { nickname: known, ..Raise::new(AlarmKind::SecondChain, &name.0, text) }
            }
        });
        let raised = raised.collect();
        self.raise(raised).await?;
        if is_known {
            self.db.write(move |db| log::said(db, last)).await?;
        }
        Ok(())
    }

    /// A look-up's answer is not what the log has. Such answers can be made up without end, and none of them is used:
    /// only so many are said.
    pub(in crate::client::engine) async fn raise_unlogged(
        &self,
        name: &Nickname,
        record: [u8; 32],
    ) -> Result<(), Trouble> {
        if !lock(&self.alarm_allowance).any_left() {
            return Ok(());
        }
        let text = format!(
            "the server gave out keys for {name} that its transparency log does not have, or no longer: they may be \
             false. Compare fingerprints with {name} before you write anything that matters, and ask whoever runs the \
             server"
        );
        let raise = Raise { nickname: Some(name.clone()), ..Raise::new(AlarmKind::NotInLog, &record, text) };
        if self.keep_alarms(vec![raise]).await? {
            lock(&self.alarm_allowance).use_up();
        }
        Ok(())
    }

    /// The directory has more accounts than the log has names.
    pub(in crate::client::engine) async fn raise_crowded(&self, names: u64) -> Result<(), Trouble> {
        let text = format!(
            "the server lists more accounts than its transparency log has names, of which there are {names}: the rest \
             are false, and the list was not read on. Ask whoever runs the server"
        );
        self.raise(vec![Raise::new(AlarmKind::Contradicts, b"names", text)]).await
    }

    /// Keeps alarms and says each once.
    pub(super) async fn raise(&self, raised: Vec<Raise>) -> Result<(), Trouble> {
        self.keep_alarms(raised).await.map(drop)
    }

    /// The same; whether any of them is new.
    async fn keep_alarms(&self, raised: Vec<Raise>) -> Result<bool, Trouble> {
        let me = self.me.clone();
        let done = self.commit(move |db, events| {
            let mut new = false;
            for Raise { kind, nickname, text, about, proof } in raised {
                let alarm = Alarm { alarm: kind, nickname, text, at: Millis::now(), accepted: false };
                if log::raise(db, &alarm, &about, proof.as_ref())? {
                    let peer = alarm.nickname.as_ref().unwrap_or(&me.nickname);
                    let text = format!("ALARM: {}", alarm.text);
                    events.push(Event::Message(notice(db, &me, peer, text)?));
                    new = true;
                }
            }
            Ok(new)
        });
        Ok(done.await?)
    }
}

/// What somebody who has one's own identity key has done with it, in words.
fn foreign_change(chain: &[Signed], hash: &[u8; 32]) -> String {
    let record = chain.iter().find(|record| record_hash(record) == *hash);
    let record = record.and_then(|record| from_canonical_cbor::<AccountRecord>(&record.body).ok());
    let who = "and not by this profile. Whoever did that has your identity key";
    match record.map(|record| record.kind) {
        Some(AccountRecordKind::DeviceAdded { device_key, .. }) => {
            let id = PublicKey::from_spki(&device_key).map(|key| DeviceId::from(key.id()));
            let id = id.map_or_else(|_| "ID".to_owned(), |id| short(id, std::iter::empty()));
            format!(
                "the device {id} was added to your account, {who}. `tellal device remove {id}` takes it away, and \
                 `tellal rekey` makes new keys: with the old one another can be added"
            )
        }
        Some(AccountRecordKind::DeviceRemoved { device }) => {
            let id = short(device, std::iter::empty());
            format!("the device {id} was removed from your account, {who}: make new keys with `tellal rekey`")
        }
        _ => format!("your account was changed, {who}. Tell your friends to compare fingerprints with you"),
    }
}
