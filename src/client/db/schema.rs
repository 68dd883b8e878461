//! Tables, and how older files become newer ones: migrations are only ever appended.

use rusqlite::{Connection, TransactionBehavior};

/// One more statement list for each version of the file; `user_version` counts those that have been run.
const MIGRATIONS: &[&str] = &[
    "
    -- People. An account *is* its identity key, so a pinned row pins the key for the name.
    CREATE TABLE contacts (
        account BLOB NOT NULL PRIMARY KEY,
        nickname TEXT NOT NULL,
        folded TEXT NOT NULL,
        color TEXT NOT NULL,
        since INTEGER NOT NULL,
        entry BLOB NOT NULL,                  -- CBOR of the directory's entry, checked again when it is read
        fetched_at INTEGER NOT NULL,
        verified INTEGER NOT NULL DEFAULT 0,
        pinned INTEGER NOT NULL,              -- 0: another account under a name that was pinned before
        changed INTEGER NOT NULL DEFAULT 0    -- on the pinned row: another account has turned up
    ) STRICT;
    CREATE UNIQUE INDEX contacts_by_name ON contacts (folded) WHERE pinned = 1;

    -- The history: what was received, sent, and noticed.
    CREATE TABLE messages (
        arrival INTEGER PRIMARY KEY AUTOINCREMENT,
        number INTEGER UNIQUE,                -- none until it can be shown
        id BLOB NOT NULL,
        device BLOB NOT NULL,                 -- the sender's
        own INTEGER NOT NULL DEFAULT 0,       -- written on this profile
        peer TEXT NOT NULL,                   -- whose conversation, folded
        sender TEXT NOT NULL,
        recipient TEXT NOT NULL,
        color TEXT NOT NULL,
        kind INTEGER NOT NULL,                -- 1 text, 2 voice, 3 notice
        text TEXT NOT NULL DEFAULT '',
        duration_ms INTEGER NOT NULL DEFAULT 0,
        sample_rate INTEGER NOT NULL DEFAULT 0,
        size INTEGER NOT NULL DEFAULT 0,
        peaks BLOB NOT NULL DEFAULT x'',
        sent_at INTEGER NOT NULL,
        received_at INTEGER,
        seq INTEGER,
        state INTEGER,                        -- of one's own: 0 queued, 1 accepted, 2 refused
        reason TEXT NOT NULL DEFAULT '',
        late INTEGER NOT NULL DEFAULT 0,
        complete INTEGER NOT NULL DEFAULT 1,
        shown INTEGER NOT NULL DEFAULT 0
    ) STRICT;
    CREATE UNIQUE INDEX messages_by_id ON messages (id, device, own) WHERE kind <> 3;
    CREATE INDEX messages_by_peer ON messages (peer, number);
    CREATE INDEX messages_unreleased ON messages (device, arrival) WHERE number IS NULL;
    CREATE INDEX messages_unshown ON messages (number) WHERE shown = 0;

    CREATE TABLE attachments (
        message INTEGER NOT NULL REFERENCES messages (arrival),
        place INTEGER NOT NULL,
        data BLOB NOT NULL
    ) STRICT;
    CREATE UNIQUE INDEX attachments_by_place ON attachments (message, place);

    -- What has not been accepted yet, in order. Unsealed rows have no body.
    CREATE TABLE outbox (
        place INTEGER PRIMARY KEY AUTOINCREMENT,
        message INTEGER REFERENCES messages (arrival),  -- none for a void
        id BLOB NOT NULL,
        recipient TEXT NOT NULL,              -- a nickname
        account BLOB,                         -- whom it was sealed for
        counter INTEGER,
        previous BLOB,
        body BLOB,
        header_hash BLOB,
        secret BLOB,
        blob BLOB,
        chunks INTEGER NOT NULL DEFAULT 0,
        uploaded INTEGER NOT NULL DEFAULT 0
    ) STRICT;

    -- One's own chains: the next counter and the hash of the newest envelope.
    CREATE TABLE own_chains (
        recipient BLOB NOT NULL PRIMARY KEY,
        next INTEGER NOT NULL,
        hash BLOB NOT NULL
    ) STRICT;

    -- Other people's.
    CREATE TABLE chains (
        device BLOB NOT NULL,
        recipient BLOB NOT NULL,
        next INTEGER NOT NULL,
        hash BLOB,                            -- none where the next one's previous-hash tells nothing
        PRIMARY KEY (device, recipient)
    ) STRICT;
    CREATE TABLE gaps (
        device BLOB NOT NULL,
        recipient BLOB NOT NULL,
        first INTEGER NOT NULL,
        last INTEGER NOT NULL,
        since INTEGER NOT NULL,
        sender TEXT NOT NULL,
        announced INTEGER NOT NULL DEFAULT 0
    ) STRICT;

    -- The names of all messages ever received, kept for good: what makes a repetition one.
    CREATE TABLE names (
        device BLOB NOT NULL,
        id BLOB NOT NULL,
        hash BLOB NOT NULL,
        PRIMARY KEY (device, id)
    ) STRICT;
    -- What was noticed about a name, so that it is said once.
    CREATE TABLE noticed (
        device BLOB NOT NULL,
        id BLOB NOT NULL,
        what INTEGER NOT NULL,
        PRIMARY KEY (device, id, what)
    ) STRICT;

    CREATE TABLE cursor (
        only INTEGER PRIMARY KEY CHECK (only = 1),
        epoch INTEGER NOT NULL,
        seq INTEGER NOT NULL
    ) STRICT;

    -- Sound that is still on the server.
    CREATE TABLE fetches (
        message INTEGER PRIMARY KEY REFERENCES messages (arrival),
        blob BLOB NOT NULL,
        secret BLOB NOT NULL,
        chunks INTEGER NOT NULL,
        sha256 BLOB NOT NULL,
        epoch INTEGER NOT NULL,
        seq INTEGER NOT NULL
    ) STRICT;
",
    "
    -- Voice notes that are heard while they are spoken: 1 under way, 2 cut off by a fault.
    ALTER TABLE messages ADD COLUMN live INTEGER NOT NULL DEFAULT 0;
    -- The note that this envelope closes; it has no other message then.
    ALTER TABLE outbox ADD COLUMN closes INTEGER REFERENCES messages (arrival);

    -- One's own, until the closing has been accepted.
    CREATE TABLE speaking (
        message INTEGER PRIMARY KEY REFERENCES messages (arrival),
        blob BLOB NOT NULL,
        secret BLOB NOT NULL,
        opening BLOB,                         -- SHA-256 of the opening's header, once that is sealed
        touched_at INTEGER NOT NULL,
        ended INTEGER NOT NULL DEFAULT 0      -- 1 done, 2 cut off, 3 withdrawn
    ) STRICT;
    -- Other people's, until all of their sound is here.
    CREATE TABLE listening (
        message INTEGER PRIMARY KEY REFERENCES messages (arrival),
        account BLOB NOT NULL,                -- the sender's
        blob BLOB NOT NULL,
        secret BLOB NOT NULL,
        opening BLOB NOT NULL,                -- SHA-256 of the opening's header
        touched_at INTEGER NOT NULL,
        last INTEGER NOT NULL DEFAULT 0,      -- the last group is here
        closing BLOB,                         -- CBOR of what was said at its end, and where in the mailbox
        epoch INTEGER,
        seq INTEGER
    ) STRICT;
    -- What was said of an end before its opening came.
    CREATE TABLE closings (
        device BLOB NOT NULL,
        id BLOB NOT NULL,
        closing BLOB NOT NULL,
        PRIMARY KEY (device, id)
    ) STRICT;
",
    "
    -- Voice notes: whether it was heard to its end, and where listening was left off.
    ALTER TABLE messages ADD COLUMN listened INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE messages ADD COLUMN position_ms INTEGER NOT NULL DEFAULT 0;
",
    "
    -- The identity key that was accepted for a pinned account, and the one that has turned up beside it.
    ALTER TABLE contacts ADD COLUMN identity BLOB NOT NULL DEFAULT x'';
    UPDATE contacts SET identity = account;
    ALTER TABLE contacts ADD COLUMN rival BLOB;
    ALTER TABLE contacts ADD COLUMN rival_identity BLOB;
    ALTER TABLE contacts ADD COLUMN rival_since INTEGER;
    UPDATE contacts SET
        rival = (SELECT other.account FROM contacts other WHERE other.folded = contacts.folded AND other.pinned = 0),
        rival_identity = (SELECT other.account FROM contacts other WHERE other.folded = contacts.folded AND other.pinned = 0),
        rival_since = (SELECT other.fetched_at FROM contacts other WHERE other.folded = contacts.folded AND other.pinned = 0)
        WHERE pinned = 1 AND changed = 1;
    ALTER TABLE contacts DROP COLUMN changed;
    -- It came under an identity key that was not the accepted one.
    ALTER TABLE messages ADD COLUMN key_changed INTEGER NOT NULL DEFAULT 0;
",
    "
    ALTER TABLE contacts ADD COLUMN voice TEXT;   -- what was chosen for how they are read aloud
",
    "
    -- Whose mail is not wanted. told: whether the server knows. ended: how often a block has ended.
    CREATE TABLE blocks (
        account BLOB NOT NULL PRIMARY KEY,
        blocked INTEGER NOT NULL,
        told INTEGER NOT NULL DEFAULT 0,
        ended INTEGER NOT NULL DEFAULT 0
    ) STRICT;
    -- The block whose hole in this chain has been passed over.
    ALTER TABLE chains ADD COLUMN forgiven INTEGER NOT NULL DEFAULT 0;
",
    "
    -- The transparency log, verified. previous: the place of the name's leaf before.
    CREATE TABLE log_leaves (
        place INTEGER PRIMARY KEY,
        name BLOB NOT NULL,
        previous INTEGER,
        record BLOB NOT NULL
    ) STRICT;
    CREATE INDEX log_leaves_by_name ON log_leaves (name, place);
    CREATE INDEX log_leaves_by_record ON log_leaves (record);
    -- The hashes of its tree, by their places as tlog_tiles numbers them.
    CREATE TABLE log_hashes (
        place INTEGER PRIMARY KEY,
        hash BLOB NOT NULL
    ) STRICT;
    -- Signed checkpoints whose leaves are here.
    CREATE TABLE log_checkpoints (
        size INTEGER PRIMARY KEY,
        root BLOB NOT NULL,
        note TEXT NOT NULL,
        seen_at INTEGER NOT NULL
    ) STRICT;
    -- Hashes of the records of one's own account that were made here.
    CREATE TABLE log_own (record BLOB NOT NULL PRIMARY KEY) STRICT;
    -- Heads that came with messages: state 0 unchecked, 1 agrees, 2 the other's checkpoint was asked for.
    CREATE TABLE log_heads (
        size INTEGER NOT NULL,
        root BLOB NOT NULL,
        account BLOB NOT NULL,
        state INTEGER NOT NULL,
        PRIMARY KEY (size, root)
    ) STRICT;
    -- What others say of the log, until it is looked at.
    CREATE TABLE log_words (
        place INTEGER PRIMARY KEY,
        account BLOB NOT NULL,
        word BLOB NOT NULL
    ) STRICT;
    -- What was found wrong, each thing once; kept for good.
    CREATE TABLE log_alarms (
        place INTEGER PRIMARY KEY,
        kind TEXT NOT NULL,
        about BLOB NOT NULL,
        nickname TEXT,
        text TEXT NOT NULL,
        at INTEGER NOT NULL,
        evidence BLOB,
        accepted INTEGER NOT NULL DEFAULT 0
    ) STRICT;
    CREATE UNIQUE INDEX log_alarms_once ON log_alarms (kind, about);
",
    "
    -- Places in the mailbox of what nobody could vouch for yet: read again once the log is in order.
    CREATE TABLE held_back (
        epoch INTEGER NOT NULL,
        seq INTEGER NOT NULL,
        PRIMARY KEY (epoch, seq)
    ) STRICT, WITHOUT ROWID;
",
    "
    -- What was to be heard by itself, and was not yet.
    ALTER TABLE messages ADD COLUMN to_hear INTEGER NOT NULL DEFAULT 0;
    CREATE INDEX messages_to_hear ON messages (number) WHERE to_hear = 1;
",
    "
    -- The newest of the records that showed a rival's key.
    ALTER TABLE contacts ADD COLUMN rival_record BLOB;
    -- Records that a person has accepted with a changed key, and how many leaves the log had of the name then.
    CREATE TABLE log_decided (
        record BLOB NOT NULL PRIMARY KEY,
        leaves INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    -- Heads that came with messages, each from everybody who bears it: state 0 unchecked, 1 agrees, 2 its bearer's
    -- checkpoint was asked for, 3 could not be asked for yet.
    ALTER TABLE log_heads RENAME TO log_heads_before;
    CREATE TABLE log_heads (
        size INTEGER NOT NULL,
        root BLOB NOT NULL,
        account BLOB NOT NULL,
        state INTEGER NOT NULL,
        PRIMARY KEY (size, root, account)
    ) STRICT;
    CREATE INDEX log_heads_by_account ON log_heads (account, state);
    CREATE INDEX log_heads_by_state ON log_heads (state);
    INSERT INTO log_heads (size, root, account, state)
        SELECT size, root, account, state FROM log_heads_before ORDER BY rowid;
    DROP TABLE log_heads_before;
    -- People whose records the log has newer ones of, until they are looked up.
    CREATE TABLE log_outdated (nickname TEXT NOT NULL PRIMARY KEY) STRICT, WITHOUT ROWID;
    -- 1: it was looked at, and its answer could not be sent yet.
    ALTER TABLE log_words ADD COLUMN heard INTEGER NOT NULL DEFAULT 0;
",
    "
    -- What leaves have told, until it has been said. finding: 1 second chain, 2 broken chain, 3 own name; about: hash of
    -- the name, or of the record.
    CREATE TABLE log_findings (
        place INTEGER PRIMARY KEY,
        finding INTEGER NOT NULL,
        about BLOB NOT NULL
    ) STRICT;
",
    "
    -- Two certificates that prove it: CBOR.
    ALTER TABLE log_alarms ADD COLUMN certificates BLOB;
",
    "
    -- The place in the sender's chain: the order that messages are shown in.
    ALTER TABLE messages ADD COLUMN counter INTEGER;
    DROP INDEX messages_unreleased;
    CREATE INDEX messages_unreleased ON messages (device, counter, arrival) WHERE number IS NULL;
",
    "
    -- Leaves that begin another account under a name whose known key was compared when they were there.
    CREATE TABLE log_disowned (
        place INTEGER NOT NULL,
        record BLOB NOT NULL,
        PRIMARY KEY (place, record)
    ) STRICT, WITHOUT ROWID;
",
    "
    -- Of what was received: whose account, and which identity key had certified the device that signed it.
    ALTER TABLE messages ADD COLUMN account BLOB;
    ALTER TABLE messages ADD COLUMN certified_by BLOB;
    -- What came before was kept without them. They are known where a name has had one account and that one key; where
    -- not, a message bears the mark that it had, and none of a key that was compared.
    UPDATE messages SET
        account = c.account,
        certified_by = CASE WHEN messages.key_changed = 0 AND c.identity = c.account THEN c.identity END
        FROM contacts c
        WHERE messages.own = 0 AND messages.kind <> 3 AND messages.state IS NULL
            AND c.folded = messages.peer AND c.pinned = 1
            AND (SELECT COUNT(*) FROM contacts other WHERE other.folded = c.folded) = 1;
",
    "
    -- The last key beside the known one that whoever uses the profile was shown: a decision is about that one. Of a
    -- notice about such a key, messages.certified_by is that key.
    ALTER TABLE contacts ADD COLUMN rival_shown BLOB;
",
    "
    -- Rooms that have a name here. standing: 0 begun here, which the server may not know yet, 1 in it, 2 not any more.
    CREATE TABLE rooms (
        id BLOB NOT NULL PRIMARY KEY,
        name TEXT NOT NULL,
        folded TEXT NOT NULL UNIQUE,
        standing INTEGER NOT NULL
    ) STRICT;
    -- Their records, verified: CBOR.
    CREATE TABLE room_records (
        room BLOB NOT NULL,
        place INTEGER NOT NULL,
        record BLOB NOT NULL,
        PRIMARY KEY (room, place)
    ) STRICT;
    -- Rooms that people say one may come into. joining: its name once one has come in.
    CREATE TABLE ways_into_rooms (
        room BLOB NOT NULL,
        inviter BLOB NOT NULL,                -- the account that says so
        name TEXT NOT NULL,
        folded TEXT NOT NULL,
        at INTEGER NOT NULL,
        joining TEXT,
        PRIMARY KEY (room, inviter)
    ) STRICT;
    -- Who in a room does not get what is written there, as far as that was said.
    CREATE TABLE room_left_out (
        room BLOB NOT NULL,
        account BLOB NOT NULL,
        reason INTEGER NOT NULL,
        PRIMARY KEY (room, account, reason)
    ) STRICT;

    -- Chains are to accounts, and to rooms as they were after one of their records: chain is the id of either.
    ALTER TABLE own_chains RENAME COLUMN recipient TO chain;
    ALTER TABLE chains RENAME COLUMN recipient TO chain;
    ALTER TABLE gaps RENAME COLUMN recipient TO chain;
    ALTER TABLE gaps ADD COLUMN peer TEXT;    -- the conversation's, where it is not the sender's
    ALTER TABLE outbox RENAME COLUMN account TO chain;
    ALTER TABLE outbox ADD COLUMN room BLOB;  -- the one that the chain belongs to, if it is one's
    -- The chain that messages.counter is a place in, and of a room's chains the place of its record: what a device
    -- writes in a conversation is shown in the order of both.
    ALTER TABLE messages ADD COLUMN chain BLOB;
    ALTER TABLE messages ADD COLUMN roster INTEGER NOT NULL DEFAULT 0;
    DROP INDEX messages_unreleased;
    CREATE INDEX messages_unreleased ON messages (device, peer, roster, counter, arrival) WHERE number IS NULL;
",
];

/// Brings a file to the newest version.
pub(super) fn migrate(connection: &mut Connection) -> rusqlite::Result<()> {
    let version: usize =
        connection.query_row("PRAGMA user_version", [], |row| row.get::<_, i64>(0))?.try_into().unwrap_or(0);
    for (index, migration) in MIGRATIONS.iter().enumerate().skip(version) {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute_batch(migration)?;
        transaction.pragma_update(None, "user_version", i64::try_from(index + 1).unwrap_or(i64::MAX))?;
        transaction.commit()?;
    }
    Ok(())
}

#[cfg(test)]
#[path = "schema_tests.rs"]
mod tests;
