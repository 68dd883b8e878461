//! One's own account: whether directory and log have of it what this profile has made, and what it works with.

use crate::client::AlarmKind;
use crate::client::db::log;
use crate::client::engine::directory::directory;
use crate::client::engine::{Engine, Session, Trouble};
use crate::crypto::LogKey;
use crate::crypto::record::verify_account;
use crate::model::Signed;
use crate::model::log::record_hash;
use crate::protocol::message::Verb;

use super::alarms::Raise;

impl Engine {
    /// Says that the log lacks what it has to have of one's own account. Records that were made here and that the
    /// server shows nowhere may never have been taken: about those nothing is said.
    pub(super) async fn check_own(&self, session: &Session, key: &LogKey) -> Result<(), Trouble> {
        let known = self.db.run(|db| Ok((log::newest(db)?.is_some(), log::own(db)?)));
        let (is_read, (own, logged)) = known.await?;
        if !is_read || own == logged {
            return Ok(());
        }
        if logged == 0 {
            let text = "the server's transparency log lacks your own account: others can't find you in it. \
                        Ask whoever runs the server";
            return self.raise(vec![Raise::new(AlarmKind::OwnMissing, b"", text)]).await;
        }
        let chain = self.ask_for_own_chain(session).await?;
        // What the directory has shown by now, the log has by now; if it can be read, and is not something to be said
        // for other reasons.
        self.read_log(session).await?;
        let Some(read) = self.db.run(|db| log::newest(db)).await? else { return Ok(()) };
        let now = self.ask_for_log(session, key, read.head.size).await?;
        if now.is_none_or(|now| now.known.head != read.head) {
            return Ok(());
        }
        let shown: Vec<[u8; 32]> = chain.iter().map(record_hash).collect();
        let missing = self.db.run(move |db| {
            let mut missing = None;
            for record in shown {
                if log::is_own(db, &record)? && !log::has(db, &record)? {
                    missing = Some(record);
                }
            }
            Ok(missing)
        });
        let raise = match missing.await? {
            Some(record) => {
                let text = "the server's transparency log lacks the newest record of your own account, which the \
                            server shows you: others may be shown your account as it was before, with keys or devices \
                            that you have replaced or removed. Compare fingerprints with your friends, and ask whoever \
                            runs the server";
                Raise::new(AlarmKind::OwnMissing, &record, text)
            }
            None if !self.is_this_profile(&chain) => {
                let text = "the server and its transparency log show your account without the keys of this profile: \
                            others may be shown it as it was before, with keys that you have replaced. Compare \
                            fingerprints with your friends, and ask whoever runs the server";
                Raise::new(AlarmKind::OwnMissing, self.me.identity.as_bytes(), text)
            }
            None => return Ok(()),
        };
        self.raise(vec![raise]).await
    }

    /// The records of one's own account, as the directory has them.
    pub(super) async fn ask_for_own_chain(&self, session: &Session) -> Result<Vec<Signed>, Trouble> {
        let account = self.me.account;
        let entries = directory(session, Verb::LookUpAccount { account }).await?;
        let is_own = |chain: &Vec<Signed>| verify_account(chain).is_ok_and(|found| found.id == account);
        Ok(entries.into_iter().map(|entry| entry.chain).find(is_own).unwrap_or_default())
    }

    /// Whether records certify the keys that this profile works with, or did before newer ones came.
    pub(super) fn is_this_profile(&self, chain: &[Signed]) -> bool {
        (1..=chain.len()).filter_map(|length| verify_account(chain.get(..length)?).ok()).any(|account| {
            account.identity.id() == self.me.identity && account.device(&self.me.device).is_some()
        })
    }
}
