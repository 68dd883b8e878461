//! What was found wrong with the log, and what proves it.

use rusqlite::{Connection, Row, params};

use crate::client::db::{Sql, signed, unsigned};
use crate::client::{Alarm, AlarmKind};
use crate::crypto::Proof;
use crate::model::{Millis, Nickname, from_canonical_cbor, to_cbor};

/// Keeps an alarm, once for each `about`, and of those about the whole log one of a kind until it is accepted. What
/// happens once more after it was accepted is one that nobody has accepted. Whether it is new.
pub(in crate::client) fn raise(
    db: &Connection,
    alarm: &Alarm,
    about: &[u8],
    proof: Option<&Proof>,
) -> Sql<bool> {
    let (logs, keys) = match proof {
        Some(Proof::Logs(evidence)) => (Some(to_cbor(evidence)), None),
        Some(Proof::Keys(proven)) => (None, Some(to_cbor(&**proven))),
        None => (None, None),
    };
    db.prepare_cached(
        "INSERT INTO log_alarms (kind, about, nickname, text, at, evidence, certificates)
         SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7 WHERE ?3 IS NOT NULL OR NOT EXISTS (
             SELECT 1 FROM log_alarms WHERE kind = ?1 AND nickname IS NULL AND accepted = 0)
         ON CONFLICT (kind, about) DO UPDATE SET
             text = excluded.text, at = excluded.at, evidence = excluded.evidence,
             certificates = excluded.certificates, accepted = 0
             WHERE accepted = 1 AND ?8",
    )?
    .execute(params![
        alarm.alarm.word(),
        about,
        alarm.nickname.as_ref().map(Nickname::as_str),
        alarm.text,
        signed(alarm.at.0),
        logs,
        keys,
        alarm.alarm.recurs(),
    ])
    .map(|rows| rows == 1)
}

/// All alarms, oldest first, with what proves them.
pub(in crate::client) fn alarms(db: &Connection) -> Sql<Vec<(Alarm, Option<Proof>)>> {
    db.prepare_cached(
        "SELECT kind, nickname, text, at, accepted, evidence, certificates FROM log_alarms ORDER BY place",
    )?
    .query_map([], read_alarm)?
    .collect()
}

/// Whoever uses this profile has seen the alarms and goes on.
pub(in crate::client) fn accept(db: &Connection) -> Sql<()> {
    db.execute("UPDATE log_alarms SET accepted = 1", []).map(drop)
}

/// A person has decided whose key is right for a name: alarms about it have been heard. A second account is said
/// in the audit all the same.
pub(in crate::client) fn settle_name(db: &Connection, name: &Nickname) -> Sql<()> {
    db.prepare_cached(
        "UPDATE log_alarms SET accepted = 1 WHERE nickname = ?1 AND kind IN ('not_in_log', 'second_chain')",
    )?
    .execute([name.as_str()])
    .map(drop)
}

/// The identity key with which somebody changed one's own account is worth nothing any more.
pub(in crate::client) fn settle_own_account(db: &Connection) -> Sql<()> {
    db.execute("UPDATE log_alarms SET accepted = 1 WHERE kind = 'own_account'", []).map(drop)
}

fn read_alarm(row: &Row<'_>) -> Sql<(Alarm, Option<Proof>)> {
    let kind: String = row.get(0)?;
    let nickname: Option<String> = row.get(1)?;
    let logs: Option<Vec<u8>> = row.get(5)?;
    let keys: Option<Vec<u8>> = row.get(6)?;
    let alarm = Alarm {
        alarm: AlarmKind::from_word(&kind),
        nickname: nickname.and_then(|name| name.parse().ok()),
        text: row.get(2)?,
        at: Millis(unsigned(row.get(3)?)),
        accepted: row.get(4)?,
    };
    let logs = logs.and_then(|bytes| from_canonical_cbor(&bytes).ok()).map(Proof::Logs);
    let keys = || keys.and_then(|bytes| from_canonical_cbor(&bytes).ok()).map(Box::new).map(Proof::Keys);
    Ok((alarm, logs.or_else(keys)))
}
