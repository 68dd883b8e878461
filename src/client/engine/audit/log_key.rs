//! Whose log it is: the key of the server's transparency log is pinned with the server's, whose TLS key signs for it.
//! Two log keys of one server are as good as two logs, which is what they are made for.

use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use crate::client::db::inbox::{self, Noticed};
use crate::client::db::log;
use crate::client::engine::{Engine, Session, Trouble, lock, notice};
use crate::client::{AlarmKind, ClientError, Event};
use crate::crypto::{LogKey, LogWord, Proof, TwoLogKeys};
use crate::model::{AccountId, DeviceId, LogCertificate, MessageId};

use super::alarms::Raise;

/// What the server says of its log on a connection.
#[derive(Clone, Debug)]
pub(in crate::client::engine) enum Access {
    /// It has the one whose key is pinned.
    Pinned(LogKey),
    /// It hides the log that it had, or has to have; or shows another one's key, for which its TLS key has signed.
    Lost(Option<Arc<LogCertificate>>),
}

impl Engine {
    /// The key of the server's log, pinned when it is met first.
    pub(in crate::client::engine) async fn meet_log(
        &self,
        shown: Option<LogCertificate>,
    ) -> Result<Access, ClientError> {
        let Some(shown) = shown else { return Ok(Access::Lost(None)) };
        let key = LogKey { server: shown.server, public: shown.log_key };
        let pinned = lock(&self.profile).log_certificate.clone();
        match pinned {
            Some(pinned) if pinned.log_key != shown.log_key => Ok(Access::Lost(Some(Arc::new(shown)))),
            Some(pinned) if pinned.tls_key == shown.tls_key => Ok(Access::Pinned(key)),
            // Under an authority's certificate the TLS key may change: what it signs is kept with it.
            _ => {
                self.change_profile(|profile| profile.log_certificate = Some(shown)).await?;
                Ok(Access::Pinned(key))
            }
        }
    }

    /// Says that the server does not show the log that it has to have. Where its TLS key has signed for another one's
    /// key, that is kept.
    pub(super) async fn lost(&self, shown: Option<&LogCertificate>) -> Result<(), Trouble> {
        let pinned = lock(&self.profile).log_certificate.clone();
        let (Some(pinned), Some(shown)) = (pinned, shown) else {
            let text = "the server no longer shows the transparency log that this profile knows, or not with a key \
                        that its own key vouches for: it may have been replaced, or something is being hidden. New \
                        accounts can't be relied on until it shows that log again. Ask whoever runs it";
            return self.raise(vec![Raise::new(AlarmKind::LogLost, b"", text)]).await;
        };
        // It was accepted meanwhile.
        if pinned.log_key == shown.log_key {
            return Ok(());
        }
        let (known, new) = (pinned.log_key_id().fingerprint(), shown.log_key_id().fingerprint());
        let text = format!(
            "the server no longer shows the transparency log that this profile knows, of the key {known}, but one of \
             the key {new}: it may have lost its key, or shows different people different accounts. Ask whoever runs \
             it, and compare the new key with your friends' (`tellal audit` shows it); `tellal audit --accept` then \
             goes on with it"
        );
        let proof = TwoLogKeys { one: pinned, other: shown.clone() };
        let proof = proof.check().then(|| Proof::Keys(Box::new(proof)));
        let raise = Raise::new(AlarmKind::LogLost, &shown.log_key, text);
        self.raise(vec![raise.proven_by(proof)]).await
    }

    /// Takes another log's key, which the server shows, for the known one, if it does: what was read of the old log is
    /// forgotten, and the connection ends, so that everything begins anew under the new key. Whether it was so.
    pub(in crate::client::engine) async fn accept_log_key(
        &self,
        session: &Session,
    ) -> Result<bool, ClientError> {
        let Access::Lost(shown) = &session.log else { return Ok(false) };
        let Some(shown) = shown.as_deref().cloned() else {
            let reason =
                "it shows no transparency log that its own key vouches for: there is nothing to go on with";
            return Err(ClientError::Refused { reason: reason.to_owned() });
        };
        // Not before it was said, with both keys.
        self.lost(Some(&shown)).await.map_err(|trouble| self.explain(session, trouble))?;
        self.change_profile(|profile| profile.log_certificate = Some(shown)).await?;
        self.forget_log().await?;
        session.wire.close();
        Ok(true)
    }

    /// Somebody's word about a log under another key than the known one. Where one TLS key has signed for both, that
    /// proves that the server shows two logs. Otherwise it is a mere claim, and said as one.
    pub(super) async fn hear_of_another_log(
        &self,
        account: AccountId,
        word: &LogWord,
    ) -> Result<(), Trouble> {
        let Some(known) = lock(&self.profile).log_certificate.clone() else { return Ok(()) };
        let proof = TwoLogKeys { one: known.clone(), other: word.certificate.clone() };
        if proof.check() {
            return self.two_log_keys(proof).await;
        }
        let Some(person) = self.known(account).await? else { return Ok(()) };
        let (other, name) = (&word.certificate, person.account.nickname.clone());
        let text = format!(
            "{name} claims to be shown another transparency log than you: of the key {}, by a server with the key {}; \
             here it is {}, by a server with the key {}. That may be untrue, or the server shows the two of you \
             different accounts. Compare what `tellal audit` says on both sides over another channel before you write anything \
             that matters",
            other.log_key_id().fingerprint(),
            other.tls_key_id().fingerprint(),
            known.log_key_id().fingerprint(),
            known.tls_key_id().fingerprint(),
        );
        let claimed =
            Sha256::new_with_prefix(other.log_key).chain_update(other.tls_key.as_slice()).finalize();
        let claimed = MessageId::from_bytes(claimed.first_chunk().copied().unwrap_or_default());
        let may_say = lock(&self.allowance).any_left();
        let me = self.me.clone();
        let said = self
            .commit(move |db, events| {
                let bearer = DeviceId::new(*account.as_bytes());
                let said = may_say && inbox::notice_once(db, &bearer, &claimed, Noticed::OtherLog)?;
                if said {
                    events.push(Event::Message(notice(db, &me, &name, text)?));
                }
                Ok(said)
            })
            .await?;
        if said {
            lock(&self.allowance).use_up();
        }
        Ok(())
    }

    async fn two_log_keys(&self, proof: TwoLogKeys) -> Result<(), Trouble> {
        let text = "the server has signed for two keys of its transparency log: it shows different people different \
                    accounts, and may have given out false keys. The proof is kept: `tellal audit --export FILE` \
                    writes it. Compare fingerprints with your friends before you write anything that matters";
        let mut keys = [proof.one.log_key, proof.other.log_key];
        keys.sort_unstable();
        let raise = Raise::new(AlarmKind::TwoLogKeys, &keys.concat(), text);
        self.raise(vec![raise.proven_by(Some(Proof::Keys(Box::new(proof))))]).await
    }

    /// Forgets what was read of the log, and takes the alarms for seen.
    pub(super) async fn forget_log(&self) -> Result<(), ClientError> {
        let _alone = self.auditing.lock().await;
        self.db.write(|db| log::forget(db).and_then(|()| log::accept(db))).await?;
        *lock(&self.head) = None;
        Ok(())
    }
}
