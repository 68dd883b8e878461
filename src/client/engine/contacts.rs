//! What is told of people: what the directory has of them, and what there is to be wary of.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::client::db::contacts::{self, Stored};
use crate::client::db::{Sql, blocks, log};
use crate::client::{Alarm, Contact};
use crate::model::Nickname;

use super::verification::key_change;
use super::{Engine, Person, Session, Trouble};

/// Said of somebody whom the server does not show any more.
const HIDDEN: &str = "the server does not show them now, or not with records that verify: what is known of them stays in force";

impl Engine {
    /// What is told of everybody in the directory, and of whom the server has shown before and does not show now.
    pub(super) async fn users(&self, session: &Session) -> Result<Vec<Contact>, Trouble> {
        self.audit_soon(session).await?;
        let mut people = self.everybody(session).await?;
        let listed = people.len();
        people.extend(self.hidden(&people).await?.into_iter().map(|person| (person, false)));
        let mut contacts = self.contacts(people).await?;
        for contact in contacts.iter_mut().skip(listed) {
            let also = contact.warning.take().map(|warning| format!("; {warning}"));
            contact.warning = Some(HIDDEN.to_owned() + &also.unwrap_or_default());
        }
        contacts.sort_by(|one, other| one.nickname.folded().cmp(other.nickname.folded()));
        Ok(contacts)
    }

    /// Those who are known, and under whose names the server has shown nobody: it takes no account out of its directory.
    async fn hidden(&self, shown: &[(Arc<Person>, bool)]) -> Result<Vec<Arc<Person>>, Trouble> {
        let shown: HashSet<&str> = shown.iter().map(|(person, _)| person.account.nickname.folded()).collect();
        let mut hidden = Vec::new();
        for (account, name) in self.db.run(|db| contacts::pinned(db)).await? {
            if !shown.contains(name.folded()) {
                hidden.extend(self.known(account).await?);
            }
        }
        Ok(hidden)
    }

    /// What is told of people.
    pub(super) async fn contacts(&self, people: Vec<(Arc<Person>, bool)>) -> Result<Vec<Contact>, Trouble> {
        let mut alike: HashMap<String, Vec<Nickname>> = HashMap::new();
        for (person, _) in &people {
            let name = &person.account.nickname;
            for look in name.looks() {
                alike.entry(look).or_default().push(name.clone());
            }
        }
        let blocked = self.db.run(|db| blocks::all(db)).await?;
        let names: Vec<Nickname> = people.iter().map(|(person, _)| person.account.nickname.clone()).collect();
        let known = self.db.run(move |db| {
            let known: Sql<Vec<Option<Stored>>> =
                names.iter().map(|name| contacts::by_name(db, name)).collect();
            Ok((known?, log::alarms(db)?))
        });
        let (known, alarms) = known.await?;
        self.shown(known.iter().flatten()).await?;
        let alarms: Vec<Alarm> =
            alarms.into_iter().map(|(alarm, _)| alarm).filter(|alarm| !alarm.accepted).collect();
        let contacts = people.into_iter().zip(known).map(|((person, online), known)| {
            let account = &person.account;
            let name = &account.nickname;
            let mut others = name.looks().into_iter().filter_map(|look| alike.get(&look)).flatten();
            let other = others.find(|other| *other != name);
            let me = account.id == self.me.account;
            // What is about no name in particular stands with one's own.
            let about = |alarm: &&Alarm| alarm.nickname.as_ref().map_or(me, |about| about == name);
            let alarm: Vec<&str> = alarms.iter().filter(about).map(|alarm| alarm.text.as_str()).collect();
            let change = known.as_ref().and_then(|known| Some(key_change(known, known.rival.as_ref()?)));
            let warning = match other {
                _ if change.is_some() => change.as_ref().map(|change| {
                    format!(
                        "the key has changed: known {}, since {} {}; nothing is sent until you decide \
                     (`tellal verify {name}`)",
                        change.known, change.since, change.shown
                    )
                }),
                Some(other) => Some(format!("looks like {other}")),
                None if name.is_suspicious() => Some("has letters of several scripts".to_owned()),
                None => None,
            };
            let alarm = (!alarm.is_empty()).then(|| format!("ALARM: {}", alarm.join("; ")));
            let warning = match (alarm, warning) {
                (Some(alarm), Some(warning)) => Some(format!("{alarm}; {warning}")),
                (alarm, warning) => alarm.or(warning),
            };
            Contact {
                nickname: name.clone(),
                online,
                fingerprint: account.identity.id().fingerprint(),
                verified: known.is_some_and(|known| known.verified && !known.is_held()),
                color: account.color,
                since: account.since,
                me: account.id == self.me.account,
                blocked: blocked.contains(&account.id),
                warning,
                key_change: change,
            }
        });
        Ok(contacts.collect())
    }
}
