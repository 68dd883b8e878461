//! Whether a key is whose it is said to be: safety numbers, and what a person decides about a changed key.

use crate::client::db::contacts::{self, Rival, Stored};
use crate::client::db::{disowned, inbox, log, outbox};
use crate::client::{ClientError, Event, KeyChange, KeyStanding, Safety};
use crate::crypto::SafetyNumber;
use crate::crypto::safety::Side;
use crate::model::{KeyId, Millis, Nickname};

use super::{Engine, Link, Trouble, compute, lock};

/// What is known here of somebody's key, and what was shown instead.
pub(super) fn key_change(known: &Stored, rival: &Rival) -> KeyChange {
    KeyChange {
        known: known.identity.fingerprint(),
        shown: rival.identity.fingerprint(),
        since: rival.since,
        vouched: rival.account == known.account,
    }
}

/// A key that has changed, for a person who must not miss it.
pub(super) fn warning(name: &Nickname, known: &Stored, shown: KeyId, now: Millis, vouched: bool) -> String {
    let compared = if known.verified { "verified" } else { "never compared" };
    let cause = if vouched {
        "The known key vouches for the new one: they have made new keys, or whoever has their old ones has"
    } else {
        "The known key does not vouch for the new one: this may be a new account of theirs, or somebody else, \
         such as whoever runs the server"
    };
    format!(
        "WARNING: the key of {name} has changed. Known: {} ({compared}). Shown since {now}: {}. {cause}. Nothing \
         is sent to {name} until you have compared the safety number (`tellal verify {name}`) or accepted the \
         change (`tellal verify {name} --accept-change`)",
        known.identity.fingerprint(),
        shown.fingerprint()
    )
}

impl Engine {
    /// Whose key was compared, or has changed.
    pub(super) async fn standings(&self) -> Result<Vec<KeyStanding>, ClientError> {
        let notable = self.db.run(|db| contacts::notable(db)).await?;
        let standings = notable.into_iter().map(|stored| KeyStanding {
            verified: stored.verified && !stored.is_held(),
            key_change: stored.rival.as_ref().map(|rival| key_change(&stored, rival)),
            nickname: stored.nickname,
        });
        Ok(standings.collect())
    }

    /// What there is of changed keys is shown to whoever uses the profile.
    pub(super) async fn shown(&self, stored: impl Iterator<Item = &Stored>) -> Result<(), ClientError> {
        let key = |stored: &Stored| Some((stored.nickname.clone(), stored.rival?.identity));
        let keys: Vec<(Nickname, KeyId)> = stored.filter_map(key).collect();
        if keys.is_empty() {
            return Ok(());
        }
        self.db
            .write(move |db| keys.iter().try_for_each(|(name, key)| contacts::note_shown(db, name, key)))
            .await
    }

    /// The safety number with somebody, and how it stands with their key.
    pub(super) async fn safety(&self, name: Nickname) -> Result<Safety, ClientError> {
        let stored = self.acquaintance(&name).await?;
        self.shown(std::iter::once(&stored)).await?;
        let number = self.number(stored.identity, &name).await?;
        let new_number = match &stored.rival {
            Some(rival) => Some(self.number(rival.identity, &name).await?),
            None => None,
        };
        Ok(Safety {
            fingerprint: stored.identity.fingerprint(),
            own_fingerprint: self.me.identity.fingerprint(),
            number: number.digits().to_owned(),
            verified: stored.verified && stored.rival.is_none(),
            key_change: stored.rival.as_ref().map(|rival| key_change(&stored, rival)),
            new_number: new_number.map(|number| number.digits().to_owned()),
            nickname: stored.nickname,
        })
    }

    /// Marks somebody's key as compared, if this is the safety number: that with the known key, or that with the
    /// one which has turned up beside it.
    pub(super) async fn verify(&self, name: Nickname, code: &str) -> Result<Safety, ClientError> {
        let stored = self.acquaintance(&name).await?;
        let known = self.number(stored.identity, &name).await?.matches(code);
        let new = match &stored.rival {
            Some(rival) if !known => self.number(rival.identity, &name).await?.matches(code),
            _ => false,
        };
        if !known && !new {
            return Err(ClientError::WrongCode { nickname: stored.nickname });
        }
        let rival = stored.rival.as_ref().filter(|_| new).map(|rival| rival.identity);
        self.decide(&stored, rival, true).await?;
        self.safety(name).await
    }

    /// Takes the key that has turned up for the known one: the one that was last shown. A server that has shown yet
    /// another one since then gets that shown, and no more.
    pub(super) async fn accept_change(&self, name: Nickname) -> Result<Safety, ClientError> {
        let stored = self.acquaintance(&name).await?;
        if let Some(rival) = &stored.rival {
            let (wanted, identity) = (stored.nickname.clone(), rival.identity);
            if !self.db.run(move |db| contacts::is_shown(db, &wanted, &identity)).await? {
                self.shown(std::iter::once(&stored)).await?;
                let change = key_change(&stored, rival);
                return Err(ClientError::KeyChanged { nickname: stored.nickname, change });
            }
            self.decide(&stored, Some(rival.identity), false).await?;
        }
        self.safety(name).await
    }

    /// Carries out what a person has decided about the key that they were shown, and sends on.
    async fn decide(&self, stored: &Stored, rival: Option<KeyId>, verified: bool) -> Result<(), ClientError> {
        let name = stored.nickname.clone();
        let account = stored.account;
        let fingerprint = rival.unwrap_or(stored.identity).fingerprint();
        let decided = self
            .commit(move |db, events| {
                let mut pinned = account;
                if let Some(identity) = &rival {
                    let Some(rival) = contacts::accept_rival(db, &name, identity)? else { return Ok(false) };
                    pinned = rival.account;
                    outbox::readdress(db, &name, &pinned)?;
                }
                let mut stands = rival.is_some();
                if verified {
                    contacts::set_verified(db, &pinned)?;
                    let records = contacts::records(db, &pinned)?;
                    disowned::settle(db, &name, &records)?;
                    // All that the log has is of others: it hides nothing of this one.
                    if let Some(newest) = records.last()
                        && log::has_chain(db, &name, &[])?
                    {
                        log::decide(db, &name, newest)?;
                    }
                    stands |= log::stands(db, &name, &records)?;
                }
                // An alarm about what goes on to hold up what is sent goes on, too.
                if stands {
                    log::settle_name(db, &name)?;
                }
                events.push(Event::Verified { nickname: name, fingerprint, verified });
                Ok(true)
            })
            .await?;
        if !decided && let Some(Some(change)) = self.held(&stored.nickname).await? {
            // Yet another one has turned up meanwhile.
            return Err(ClientError::KeyChanged { nickname: stored.nickname.clone(), change });
        }
        lock(&self.people).retain(|_, person| person.account.nickname != stored.nickname);
        self.decided.notify_one();
        self.read_again().await
    }

    /// What was held back may be right by now. Without a connection the next one sees to it.
    async fn read_again(&self) -> Result<(), ClientError> {
        let Link::Up(session) = self.link.borrow().clone() else { return Ok(()) };
        if self.db.write(|db| inbox::go_back(db)).await? {
            match self.subscribe(&session).await {
                Err(Trouble::Local(error)) => return Err(error),
                Err(Trouble::Lost | Trouble::Strange | Trouble::Refused { .. }) | Ok(()) => {}
            }
        }
        Ok(())
    }

    /// Somebody by name: as pinned, or else as the directory says now.
    async fn acquaintance(&self, name: &Nickname) -> Result<Stored, ClientError> {
        let stored = |name: Nickname| self.db.run(move |db| contacts::by_name(db, &name));
        if *name == self.me.nickname {
            return Err(ClientError::OwnNickname);
        }
        if let Some(stored) = stored(name.clone()).await? {
            return Ok(stored);
        }
        let session = self.session().await?;
        self.look_up_name(&session, name).await.map_err(|trouble| self.explain(&session, trouble))?;
        let found = stored(name.clone()).await?;
        found.ok_or_else(|| ClientError::UnknownNickname { nickname: name.clone() })
    }

    async fn number(&self, identity: KeyId, name: &Nickname) -> Result<SafetyNumber, ClientError> {
        let (me, name) = (self.me.clone(), name.clone());
        let number = move || {
            let mine = Side { identity: me.identity, nickname: &me.nickname };
            SafetyNumber::of(mine, Side { identity, nickname: &name })
        };
        compute(number).await
    }

    /// Whether sending to a name is held because its key has changed, which is told then; `None` for somebody not met
    /// yet.
    pub(super) async fn held(&self, name: &Nickname) -> Result<Option<Option<KeyChange>>, ClientError> {
        let wanted = name.clone();
        let stored = self.db.run(move |db| contacts::by_name(db, &wanted)).await?;
        self.shown(stored.iter()).await?;
        Ok(stored.map(|stored| stored.rival.as_ref().map(|rival| key_change(&stored, rival))))
    }
}
