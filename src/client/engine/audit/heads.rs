//! Heads that come with messages: each is compared with one's own log, in the background.

use crate::client::db::log::{self, Hashes, Standing};
use crate::client::engine::{Engine, Session, Trouble, lock};
use crate::model::Head;

use super::words::Unreached;

impl Engine {
    /// Compares heads that came with messages. One that is not ours is no proof of anything yet: its bearer is asked
    /// for a signed checkpoint.
    pub(super) async fn check_heads(
        &self,
        session: &Session,
        unreached: &mut Unreached,
    ) -> Result<(), Trouble> {
        let waiting = self.db.run(|db| log::unchecked(db)).await?;
        let ahead = |head: &Head, size: Option<Head>| size.is_none_or(|own| own.size < head.size);
        let own = *lock(&self.head);
        if waiting.iter().any(|(head, _)| ahead(head, own)) {
            self.read_log(session).await?;
        }
        let Some(known) = self.db.run(|db| log::newest(db)).await? else { return Ok(()) };
        for (head, account) in waiting {
            let size = known.head.size;
            let agrees = head.size <= size
                && self.db.run(move |db| Hashes::stored(db, size).head(head.size)).await? == head;
            let standing = if agrees {
                Standing::Agrees
            } else if unreached.has(&account) {
                continue;
            } else {
                let Some(word) = self.word(known.note.clone(), None, true) else { return Ok(()) };
                let said = self.send_word(session, account, word).await?;
                if unreached.note(account, said) { Standing::Asked } else { Standing::Pending }
            };
            self.db.write(move |db| log::settle(db, &head, &account, standing)).await?;
        }
        Ok(())
    }
}
