//! The floor: as little server as can be for the same promise. A tokio relay without TLS, identities, checks or a
//! directory; one SQLite table, WAL, `synchronous=FULL`, one writer with group commit; accepted means on disk, and
//! what was acknowledged is deleted. Whatever Tellal does more slowly than this is the price of all it does beside.
//!
//! Frames: `length: u32` of what follows, `kind: u8`, payload; big-endian.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::mpsc;

use anyhow::{Context as _, Result};
use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use rusqlite::Connection;
use tellal::load::LoadError;
use tellal::load::peer::{Heard, Language};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

const ENTER: u8 = 0;
const SUBMIT: u8 = 1;
const SUBSCRIBE: u8 = 2;
const ACKNOWLEDGE: u8 = 3;

const ACCEPTED: u8 = 0;
const MESSAGE: u8 = 1;
const END: u8 = 2;

/// Operations in one transaction, at most.
const GROUP: usize = 512;

type Outbox = UnboundedSender<Bytes>;

enum Operation {
    Submit { to: u32, body: Bytes, from: Outbox },
    Subscribe { who: u32, outbox: Outbox },
    Acknowledge { who: u32, up_to: u64 },
}

/// Serves on a free port, which it prints, until it is killed.
pub fn serve(folder: &Path) -> Result<()> {
    let connection = Connection::open(folder.join("floor.db"))?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "wal_autocheckpoint", 4096)?;
    connection.pragma_update(None, "cache_size", -16_384)?;
    // A table by row numbers: one without them would keep a body of 1 KiB in pages of its own.
    connection.execute_batch("CREATE TABLE mail (id INTEGER PRIMARY KEY, body BLOB)")?;
    let (operations, queue) = mpsc::channel();
    std::thread::spawn(move || write(connection, &queue));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async move {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        println!("listening on {}", listener.local_addr()?);
        loop {
            let (socket, _) = listener.accept().await?;
            socket.set_nodelay(true)?;
            tokio::spawn(connection_of(socket, operations.clone()));
        }
    })
}

async fn connection_of(socket: TcpStream, operations: mpsc::Sender<Operation>) {
    let (mut reading, mut writing) = socket.into_split();
    let (outbox, mut out): (Outbox, UnboundedReceiver<Bytes>) = unbounded_channel();
    tokio::spawn(async move {
        let mut gathered = BytesMut::new();
        while let Some(first) = out.recv().await {
            gathered.put(first);
            while let Ok(next) = out.try_recv() {
                gathered.put(next);
            }
            if writing.write_all_buf(&mut gathered).await.is_err() {
                return;
            }
        }
    });
    let mut inbox = BytesMut::new();
    let mut who = 0;
    loop {
        while let Some((kind, mut payload)) = take(&mut inbox) {
            let operation = match kind {
                ENTER => {
                    who = payload.get_u32();
                    continue;
                }
                SUBMIT => Operation::Submit { to: payload.get_u32(), body: payload, from: outbox.clone() },
                SUBSCRIBE => Operation::Subscribe { who, outbox: outbox.clone() },
                _ => Operation::Acknowledge { who, up_to: payload.get_u64() },
            };
            if operations.send(operation).is_err() {
                return;
            }
        }
        inbox.reserve(64 * 1024);
        if !matches!(reading.read_buf(&mut inbox).await, Ok(1..)) {
            return;
        }
    }
}

fn write(mut connection: Connection, queue: &mpsc::Receiver<Operation>) {
    let mut newest: HashMap<u32, u64> = HashMap::new();
    let mut watching: HashMap<u32, Outbox> = HashMap::new();
    while let Ok(first) = queue.recv() {
        let group = std::iter::once(first).chain(queue.try_iter().take(GROUP - 1));
        if let Err(error) = commit(&mut connection, group, &mut newest, &mut watching) {
            eprintln!("the floor's database failed: {error}");
            return;
        }
    }
}

fn commit(
    connection: &mut Connection,
    group: impl Iterator<Item = Operation>,
    newest: &mut HashMap<u32, u64>,
    watching: &mut HashMap<u32, Outbox>,
) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    let mut told = Vec::new();
    for operation in group {
        match operation {
            Operation::Submit { to, body, from } => {
                let seq = newest.entry(to).or_default();
                *seq += 1;
                transaction
                    .prepare_cached("INSERT INTO mail (id, body) VALUES (?, ?)")?
                    .execute((id(to, *seq), body.as_ref()))?;
                told.push((from, frame(ACCEPTED, &[], &[])));
                if let Some(outbox) = watching.get(&to) {
                    told.push((outbox.clone(), frame(MESSAGE, &seq.to_be_bytes(), &body)));
                }
            }
            Operation::Subscribe { who, outbox } => {
                let mut query = transaction
                    .prepare_cached("SELECT id, body FROM mail WHERE id BETWEEN ? AND ? ORDER BY id")?;
                let mut rows = query.query((id(who, 0), id(who, LAST)))?;
                while let Some(row) = rows.next()? {
                    let (id, body): (i64, Vec<u8>) = (row.get(0)?, row.get(1)?);
                    let seq = id.cast_unsigned() & LAST;
                    told.push((outbox.clone(), frame(MESSAGE, &seq.to_be_bytes(), &body)));
                }
                told.push((outbox.clone(), frame(END, &[], &[])));
                watching.insert(who, outbox);
            }
            Operation::Acknowledge { who, up_to } => {
                transaction
                    .prepare_cached("DELETE FROM mail WHERE id BETWEEN ? AND ?")?
                    .execute((id(who, 0), id(who, up_to)))?;
            }
        }
    }
    transaction.commit()?;
    for (outbox, frame) in told {
        // Who has gone needs no answer.
        let _ = outbox.send(frame);
    }
    Ok(())
}

/// The largest place in somebody's mail.
const LAST: u64 = (1 << 40) - 1;

/// The row of a place in somebody's mail.
fn id(who: u32, seq: u64) -> i64 {
    (u64::from(who) << 40 | seq.min(LAST)).cast_signed()
}

fn frame(kind: u8, head: &[u8], body: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(5 + head.len() + body.len());
    put(&mut frame, kind, head, body);
    frame.freeze()
}

fn put(out: &mut BytesMut, kind: u8, head: &[u8], body: &[u8]) {
    out.put_u32(u32::try_from(1 + head.len() + body.len()).unwrap_or(u32::MAX));
    out.put_u8(kind);
    out.put_slice(head);
    out.put_slice(body);
}

fn take(inbox: &mut BytesMut) -> Option<(u8, Bytes)> {
    let length = usize::try_from(u32::from_be_bytes(*inbox.first_chunk::<4>()?)).ok()?;
    if inbox.len() < 4 + length {
        return None;
    }
    let mut frame = inbox.split_to(4 + length).freeze();
    frame.advance(4);
    let kind = frame.get_u8();
    Some((kind, frame))
}

/// What is spoken with the floor.
#[derive(Debug, Default)]
pub struct Plain;

impl Language for Plain {
    type To = u32;

    fn submit(&mut self, out: &mut BytesMut, to: &u32, body: &[u8]) {
        put(out, SUBMIT, &to.to_be_bytes(), body);
    }

    fn subscribe(&mut self, out: &mut BytesMut) {
        put(out, SUBSCRIBE, &[], &[]);
    }

    fn acknowledge(&mut self, out: &mut BytesMut, up_to: u64) {
        put(out, ACKNOWLEDGE, &up_to.to_be_bytes(), &[]);
    }

    fn hear(&mut self, inbox: &mut BytesMut) -> Result<Option<Heard>, LoadError> {
        let Some((kind, mut payload)) = take(inbox) else { return Ok(None) };
        Ok(Some(match kind {
            ACCEPTED => Heard::Accepted,
            MESSAGE => {
                let seq = payload.get_u64();
                Heard::Message(payload, seq)
            }
            END => Heard::End,
            _ => Heard::Else,
        }))
    }
}

/// A connection as somebody.
pub type Connected = tellal::load::peer::Peer<TcpStream, Plain>;

/// Connects.
pub async fn enter(address: SocketAddr, who: u32) -> Result<Connected> {
    let socket = TcpStream::connect(address).await.context("the floor can't be reached")?;
    socket.set_nodelay(true)?;
    let mut peer = Connected::new(socket, Plain);
    put(&mut peer.out, ENTER, &who.to_be_bytes(), &[]);
    peer.write().await?;
    Ok(peer)
}
