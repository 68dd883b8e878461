//! Whose mail is not wanted: decided here, kept here, and told to the server, which drops it from then on.

use std::time::Duration;

use crate::client::db::{blocks, contacts};
use crate::client::{ClientError, Reply};
use crate::model::Nickname;
use crate::protocol::message::{RefusalCode, Verb};

use super::{Engine, Session, Trouble};

impl Engine {
    /// Blocks everybody known under a name, or no longer. In effect here at once; the server is told now, or
    /// when it is next reached.
    pub(super) async fn block(&self, nickname: Nickname, blocked: bool) -> Result<Reply, ClientError> {
        if nickname == self.me.nickname {
            return Err(ClientError::OwnNickname);
        }
        let name = nickname.clone();
        let mut accounts = self.db.run(move |db| contacts::accounts_named(db, &name)).await?;
        if accounts.is_empty() {
            let session = self.session().await?;
            let found = self.look_up_name(&session, &nickname).await;
            let person = found.map_err(|trouble| self.explain(&session, trouble))?;
            let person = person.ok_or(ClientError::UnknownNickname { nickname })?;
            accounts.push(person.account.id);
        }
        let decided = accounts.clone();
        self.db
            .write(move |db| decided.iter().try_for_each(|account| blocks::set(db, account, blocked)))
            .await?;
        if let Ok(session) = self.session().await {
            // What does not work now is told on another connection.
            let _ = self.tell_blocks(&session).await;
        }
        let untold = self.db.run(|db| blocks::untold(db)).await?;
        let told = !untold.iter().any(|(account, _)| accounts.contains(account));
        if !told {
            self.blocks.notify_one();
        }
        Ok(Reply::Blocked { told })
    }

    /// Tells the server, for as long as the connection lasts, what it does not take at once.
    pub(super) async fn keep_telling_blocks(&self, session: &Session) -> Result<(), Trouble> {
        loop {
            let wait = self.tell_blocks(session).await?;
            let due = async {
                match wait {
                    Some(wait) => tokio::time::sleep(wait).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = session.wire.ended() => return Err(Trouble::Lost),
                () = self.blocks.notified() => {}
                () = due => {}
            }
        }
    }

    /// Tells the server what it has not been told yet; when it may take what it did not take now.
    async fn tell_blocks(&self, session: &Session) -> Result<Option<Duration>, Trouble> {
        let mut later = None;
        for (account, blocked) in self.db.run(|db| blocks::untold(db)).await? {
            let verb = if blocked { Verb::Block { account } } else { Verb::Unblock { account } };
            match session.wire.ask(verb).await.map_err(Trouble::from) {
                Ok(_) => {}
                // It has as many as it takes: perhaps not any more on another connection.
                Err(Trouble::Refused { code: RefusalCode::TooLarge, .. }) => continue,
                // An account that the server does not know can't write either. Anything else is asked again.
                Err(Trouble::Refused { retry_after: None, .. }) => {}
                Err(Trouble::Refused { retry_after: Some(wait), .. }) => {
                    later = later.max(Some(wait));
                    continue;
                }
                Err(trouble) => return Err(trouble),
            }
            self.db.write(move |db| blocks::note_told(db, &account, blocked)).await?;
        }
        Ok(later)
    }
}
