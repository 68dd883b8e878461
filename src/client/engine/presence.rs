//! Who is online: what the server says of it, in the order in which it says it, and what front ends have been told.
//! They are told the difference between the two, so that however much changes, or comes anew, nothing is told twice.

use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::Ordering;

use crate::client::{Contact, Event};
use crate::model::{AccountId, Nickname};
use crate::protocol::message::{Answer, Verb};

use super::{Engine, Session, Trouble, lock, wait_out};

/// Accounts that a server may say are online: what is more is passed over.
const MOST: usize = 100_000;

/// So many people who are not known yet are looked up one by one; for more, the directory is read.
const FEW: usize = 64;

/// What the server says.
#[derive(Debug, Default)]
pub(super) struct Presence {
    online: HashSet<AccountId>,
    /// A list that is coming in, and the number of the request that it answers.
    coming: Option<(u32, HashSet<AccountId>)>,
}

impl Presence {
    /// Takes in a part of the list; whether it was the last one, so that the list takes the place of what was known.
    fn take(&mut self, number: u32, accounts: Vec<AccountId>, more: bool) -> bool {
        let mut list = match self.coming.take() {
            Some((of, list)) if of == number => list,
            _ => HashSet::new(),
        };
        let room = MOST - list.len();
        list.extend(accounts.into_iter().take(room));
        if more {
            self.coming = Some((number, list));
        } else {
            self.online = list;
        }
        !more
    }

    /// Takes in that somebody came or went.
    fn change(&mut self, account: AccountId, online: bool) {
        let coming = self.coming.as_mut().map(|(_, list)| list);
        for known in [Some(&mut self.online), coming].into_iter().flatten() {
            if !online {
                known.remove(&account);
            } else if known.len() < MOST {
                known.insert(account);
            }
        }
    }
}

/// Whom front ends have been told of.
pub(super) type Told = BTreeMap<AccountId, Nickname>;

impl Engine {
    /// Begins to hear who comes and goes; who is online now.
    pub(super) async fn watch(&self, session: &Session) -> Result<Vec<Contact>, Trouble> {
        let mut progress = session.progress.subscribe();
        let listed = progress.borrow_and_update().listed;
        session.wire.ask(Verb::WatchPresence).await?;
        while progress.borrow_and_update().listed == listed {
            tokio::select! {
                () = session.wire.ended() => return Err(Trouble::Lost),
                changed = progress.changed() => changed.map_err(|_| Trouble::Lost)?,
            }
        }
        let mut told = self.told.lock().await;
        // Whoever is watching already is told the difference; who begins gets all of it here.
        let first = !self.watching.load(Ordering::Relaxed);
        self.reconcile(session, &mut told, !first).await?;
        self.watching.store(true, Ordering::Relaxed);
        let mut people = Vec::new();
        for account in told.keys() {
            people.extend(self.known(*account).await?.map(|person| (person, true)));
        }
        drop(told);
        self.contacts(people).await
    }

    /// Tells who comes and goes, for as long as the connection lasts.
    pub(super) async fn tell_presence(&self, session: &Session) -> Result<(), Trouble> {
        if self.watching.load(Ordering::Relaxed) {
            // What has changed while there was no connection.
            while let Err(denied) = session.wire.ask(Verb::WatchPresence).await {
                wait_out(session, denied.into()).await?;
            }
        }
        loop {
            tokio::select! {
                () = session.wire.ended() => return Err(Trouble::Lost),
                () = self.presence_news.notified() => {}
            }
            // Whoever begins to watch sets this while holding what was told.
            let mut told = self.told.lock().await;
            if self.watching.load(Ordering::Relaxed) {
                self.reconcile(session, &mut told, true).await?;
            }
        }
    }

    /// A part of the list of those who are online.
    pub(super) fn note_list(&self, session: &Session, number: u32, answer: Answer) {
        let Answer::Online { accounts, more } = answer else { return };
        if lock(&self.presence).take(number, accounts, more) {
            session.progress.send_modify(|progress| progress.listed += 1);
            self.presence_news.notify_one();
        }
    }

    /// Somebody came or went.
    pub(super) fn note_presence(&self, account: AccountId, online: bool) {
        lock(&self.presence).change(account, online);
        self.presence_news.notify_one();
    }

    /// What a new connection says has nothing to do with what the one before had begun to say.
    pub(super) fn forget_list(&self) {
        lock(&self.presence).coming = None;
    }

    /// Brings what was told in line with what the server says. `tell`: events tell the difference.
    async fn reconcile(&self, session: &Session, told: &mut Told, tell: bool) -> Result<(), Trouble> {
        loop {
            let (came, went) = {
                let online = &lock(&self.presence).online;
                let came = online.iter().filter(|account| !told.contains_key(*account)).copied();
                let went = told.keys().filter(|account| !online.contains(*account)).copied();
                (came.collect::<Vec<_>>(), went.collect::<Vec<_>>())
            };
            if came.is_empty() && went.is_empty() {
                return Ok(());
            }
            for account in went {
                if let (Some(nickname), true) = (told.remove(&account), tell) {
                    self.tell(Event::Presence { nickname, online: false });
                }
            }
            self.meet_all(session, &came).await?;
            for account in came {
                let person = loop {
                    match self.anybody(session, account).await {
                        Err(trouble) => wait_out(session, trouble).await?,
                        person => break person?,
                    }
                };
                let Some(person) = person else {
                    // Of accounts that there are not, a server could name any number.
                    lock(&self.presence).online.remove(&account);
                    continue;
                };
                let nickname = person.account.nickname.clone();
                told.insert(account, nickname.clone());
                if tell {
                    self.tell(Event::Presence { nickname, online: true });
                }
            }
        }
    }

    /// Where many are not known, reads the directory once instead of asking for each.
    async fn meet_all(&self, session: &Session, accounts: &[AccountId]) -> Result<(), Trouble> {
        let mut unknown = 0;
        for account in accounts {
            unknown += usize::from(self.known(*account).await?.is_none());
            if unknown > FEW {
                break;
            }
        }
        if unknown > FEW {
            while let Err(trouble) = self.everybody(session).await {
                wait_out(session, trouble).await?;
            }
        }
        Ok(())
    }
}
