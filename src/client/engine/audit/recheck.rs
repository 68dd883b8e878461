//! The whole log anew, on demand, with proofs from the server; and how the log stands.

use crate::client::AuditReport;
use crate::client::db::log::{self, Hashes};
use crate::client::engine::{Engine, Session, Trouble, compute, lock};
use crate::crypto::{LogKey, Proof, proof};
use crate::model::log::record_hash;
use crate::model::{EnvelopeHash, Head, Leaf, NameHash};
use crate::protocol::message::{Answer, Verb};

use super::Access;

impl Engine {
    /// Reads and verifies the whole log anew, with proofs from the server that it has grown out of what was known
    /// and holds one's own account; with `accept`, takes it for the log from now on.
    pub(in crate::client::engine) async fn recheck_log(
        &self,
        session: &Session,
        accept: bool,
    ) -> Result<AuditReport, Trouble> {
        let Access::Pinned(key) = session.log else {
            self.read_log(session).await?;
            return self.audit_report(false).await;
        };
        if accept {
            self.forget_log().await?;
        }
        self.audit(session).await?;
        let Some(read) = self.ask_for_log(session, &key, 0).await? else {
            return self.audit_report(false).await;
        };
        let (leaves, shown) = (read.leaves, read.known.clone());
        let right = compute(move || {
            let mut hashes = Hashes::empty();
            hashes.append(0, &leaves)?;
            Ok::<_, rusqlite::Error>(hashes.head(shown.head.size)? == shown.head)
        });
        if !right.await?.unwrap_or(false) {
            self.contradicts().await?;
            return self.audit_report(false).await;
        }
        let mut proven = self.proven(session, &key, read.known.head).await?;
        if !proven {
            // The account may have got a record between the questions.
            let Some(read) = self.ask_for_log(session, &key, 0).await? else {
                return self.audit_report(false).await;
            };
            proven = self.proven(session, &key, read.known.head).await?;
        }
        self.audit_report(proven).await
    }

    /// Whether the server proves that a head has grown out of the known one and holds one's own newest leaf.
    async fn proven(&self, session: &Session, key: &LogKey, head: Head) -> Result<bool, Trouble> {
        let Some(known) = self.db.run(|db| log::newest(db)).await? else { return Ok(false) };
        if key.verify(&known.note) != Ok(known.head) || known.head.size > head.size || known.head.size == 0 {
            return Ok(false);
        }
        let verb = Verb::ProveGrowth { from: known.head.size, to: head.size };
        let Answer::LogGrowth { proof } = session.wire.ask(verb).await?.0 else {
            return Err(Trouble::Strange);
        };
        let grown = proof::has_grown(&known.head, &head, &proof);
        let chain = self.ask_for_own_chain(session).await?;
        let Some(newest) = chain.last().filter(|_| self.is_this_profile(&chain)) else { return Ok(false) };
        let own = (NameHash::of(&self.me.nickname), record_hash(newest));
        let nickname = self.me.nickname.clone();
        let verb = Verb::ProveLeaf { nickname, size: head.size };
        let Answer::LogLeaf { leaf } = session.wire.ask(verb).await?.0 else { return Err(Trouble::Strange) };
        let Some(leaf) = leaf else { return Ok(false) };
        let bytes = <[u8; Leaf::SIZE]>::try_from(leaf.leaf.as_slice());
        let mine = bytes.as_ref().is_ok_and(|bytes| {
            let leaf = Leaf::from_bytes(bytes);
            (leaf.name, leaf.record) == own
        });
        let held = proof::holds(&head, leaf.place, &leaf.leaf, &leaf.proof);
        Ok(grown && mine && held)
    }

    /// How the log stands.
    pub(in crate::client::engine) async fn audit_report(
        &self,
        rechecked: bool,
    ) -> Result<AuditReport, Trouble> {
        let certificate = lock(&self.profile).log_certificate.clone();
        let key = certificate.as_ref().map(|it| LogKey { server: it.server, public: it.log_key });
        let (known, alarms) = self.db.run(|db| Ok((log::newest(db)?, log::alarms(db)?))).await?;
        let (mut evidence, mut two_log_keys) = (Vec::new(), Vec::new());
        for proof in alarms.iter().filter_map(|(_, proof)| proof.clone()) {
            match proof {
                Proof::Logs(proven) => evidence.push(proven.into()),
                Proof::Keys(proven) => two_log_keys.push((*proven).into()),
            }
        }
        Ok(AuditReport {
            log_key: key.map(|key| key.verifier_key()),
            log_certificate: certificate.map(Into::into),
            size: known.as_ref().map_or(0, |known| known.head.size),
            root: known.as_ref().map(|known| EnvelopeHash::new(known.head.root).to_string()),
            checkpoint: known.map(|known| known.note),
            rechecked,
            evidence,
            two_log_keys,
            alarms: alarms.into_iter().map(|(alarm, _)| alarm).collect(),
        })
    }
}
