//! The transparency log, audited: every new leaf is fetched and verified against a signed checkpoint, heads that
//! come with messages are compared with it in the background, and what can't be true is said and kept.
//!
//! Somebody else's word accuses nobody: an alarm about the log's keeper rests on its own signatures, or on what
//! it answered on this connection.
//!
//! - here: when there is an audit, and what belongs to one
//! - [`reading`]: the leaves, and whether they make what was signed
//! - [`heads`]: heads that come with messages
//! - [`words`]: what their bearers say of the log, and what is said to them
//! - [`log_key`]: whose the log is
//! - [`alarms`]: what is alarming, in words, said once
//! - [`own`]: what the log has to have of one's own account
//! - [`recheck`]: the whole of it anew, on demand

mod alarms;
mod heads;
mod log_key;
mod own;
mod reading;
mod recheck;
mod words;

use std::time::Duration;

use tokio::time::timeout;

use crate::client::ClientError;
use crate::client::db::log;

pub(super) use self::log_key::Access;
use self::words::Unreached;
pub(super) use self::words::{Answers, note};
use super::{Engine, Session, Trouble};

/// How often the log is read even if nobody says that it has grown.
const CHECK: Duration = Duration::from_secs(3600);
/// How long a command waits for the audit before it goes on without.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long what the server can't take now waits where it does not say.
const RETRY: Duration = Duration::from_secs(60);

impl Engine {
    /// Audits for as long as the connection lasts.
    pub(super) async fn audit_always(&self, session: &Session) -> Result<(), Trouble> {
        loop {
            let again = match self.audit(session).await {
                Ok(wait) => wait.unwrap_or(CHECK),
                // What the server can't answer now it may answer later.
                Err(Trouble::Refused { retry_after, .. }) => retry_after.unwrap_or(CHECK),
                Err(trouble) => return Err(trouble),
            };
            tokio::select! {
                () = session.wire.ended() => return Err(Trouble::Lost),
                () = self.audit.notified() => {}
                () = tokio::time::sleep(again) => {}
            }
        }
    }

    /// Audits once, within the time that a command has for it.
    pub(super) async fn audit_soon(&self, session: &Session) -> Result<(), Trouble> {
        match timeout(PATIENCE, self.audit(session)).await {
            Ok(Err(Trouble::Refused { .. })) | Err(_) => Ok(()),
            Ok(done) => done.map(drop),
        }
    }

    /// Waits until the log has been read on this connection, if the server lets it: what speaks against records is
    /// heard before they are relied on.
    pub(super) async fn await_log(&self, session: &Session) -> Result<(), Trouble> {
        let mut read = session.log_read.subscribe();
        if *read.borrow_and_update() {
            return Ok(());
        }
        tokio::select! {
            () = session.wire.ended() => return Err(Trouble::Lost),
            waited = timeout(PATIENCE, read.wait_for(|read| *read)) => drop(waited),
        }
        session.log_read.send_replace(true);
        Ok(())
    }

    /// Reads what is new in the log, and looks at what others have said about it. After so long there is more to do,
    /// if it is said.
    async fn audit(&self, session: &Session) -> Result<Option<Duration>, Trouble> {
        let read = self.read_log(session).await;
        session.log_read.send_replace(true);
        read?;
        let Access::Pinned(key) = session.log else { return Ok(None) };
        match self.check_own(session, &key).await {
            // What it does not answer now may be asked the next time.
            Err(Trouble::Refused { .. }) => {}
            done => done?,
        }
        let mut unreached = Unreached::default();
        let refused = match self.look_up_outdated(session).await {
            Err(Trouble::Refused { retry_after, .. }) => Some(retry_after.unwrap_or(RETRY)),
            done => done.map(|()| None)?,
        };
        self.check_heads(session, &mut unreached).await?;
        self.hear_words(session, &key, &mut unreached).await?;
        Ok(unreached.wait.or(refused))
    }

    /// Looks up people whose records the log has newer ones of; what is alarming about that is said when this returns.
    async fn look_up_outdated(&self, session: &Session) -> Result<(), Trouble> {
        let _alone = self.looking.lock().await;
        while let Some(name) = self.db.run(|db| log::next_outdated(db)).await? {
            match self.look_up_name(session, &name).await {
                Ok(_) | Err(Trouble::Local(ClientError::NotInLog { .. })) => {}
                Err(trouble) => return Err(trouble),
            }
            self.db.write(move |db| log::looked_up(db, &name)).await?;
        }
        Ok(())
    }
}
