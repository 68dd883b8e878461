//! The core at work in the process that owns the profile: commands in, events out.
//!
//! - [`audit`]: the transparency log
//! - [`blocking`]: whose mail is not wanted
//! - [`commands`]: what is asked, one by one
//! - [`connection`]: connecting, logging in, and again after each loss
//! - [`devices`]: the devices of one's own account
//! - [`directory`]: who people are
//! - [`contacts`]: what is told of them
//! - [`presence`]: who is online
//! - [`sending`]: the outbox, from words to what the server has for good
//! - [`receiving`]: the mailbox, from pushes to history
//! - [`rooms`]: who is in rooms
//! - [`fetching`]: sound of received voice notes
//! - [`speaking`], [`listening`]: voice notes that are heard while they are spoken
//! - [`allowance`]: how much is said of what is wrong
//! - [`pool`]: what takes a processor's time
//! - [`renewal`]: message keys
//! - [`rekeying`]: new keys for everything
//! - [`trouble`]: what goes wrong on a connection, and what a refusal means
//! - [`verification`]: safety numbers, changed keys

mod allowance;
mod audit;
mod blocking;
mod commands;
pub(super) mod connection;
mod contacts;
mod devices;
mod directory;
mod fetching;
mod listening;
mod pool;
mod presence;
mod receiving;
mod rekeying;
mod renewal;
mod rooms;
mod sending;
mod speaking;
mod trouble;
mod verification;

use std::collections::HashMap;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

use rayon::prelude::*;
use rusqlite::Transaction;
use tokio::sync::{Notify, broadcast, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::crypto::PrivateKey;
use crate::model::{AccountId, Color, DeviceId, Head, KeyId, Nickname, RoomName};

use self::allowance::Allowance;
use self::directory::Person;
pub(super) use self::pool::compute;
pub(super) use self::trouble::refused;
use self::trouble::{Trouble, delayed, is_final, limited, refusal, wait_out};
use super::db::{Db, Sql, log, messages};
use super::link::{Address, Wire};
use super::profile::{Home, Lock, Profile, device_name, message_key_name};
use super::subscription::Signal;
use super::{Body, ClientError, Event, Message};

/// The core of an open profile.
pub(super) struct Engine {
    home: Home,
    _lock: Lock,
    address: Address,
    me: Me,
    profile: Mutex<Profile>,
    device_key: Arc<PrivateKey>,
    message_keys: Mutex<Arc<Keys>>,
    db: Db,
    signals: broadcast::Sender<Signal>,
    link: watch::Sender<Link>,
    /// Someone wants to be connected now.
    kick: Notify,
    /// There may be something new in the outbox.
    outbox: Notify,
    /// There may be a block that the server does not know of.
    blocks: Notify,
    /// A person has decided about a key: what was held may leave.
    decided: Notify,
    /// There may be something new to fetch.
    fetches: Notify,
    /// Somebody may have begun to speak, or ended.
    listening: Notify,
    /// Likewise, for those who listen already.
    live_news: watch::Sender<u64>,
    /// Somebody here may have said something, or ended.
    speaking: Notify,
    /// Sound that is heard while it is spoken has grown, here or there.
    grown: watch::Sender<u64>,
    /// Somebody wants to be told who comes and goes.
    watching: AtomicBool,
    presence: Mutex<presence::Presence>,
    /// Who is online may have changed.
    presence_news: Notify,
    /// One tells of it at a time.
    told: tokio::sync::Mutex<presence::Told>,
    /// One replaces keys at a time.
    renewing: tokio::sync::Mutex<()>,
    /// Held by whatever is about to hand something of the outbox to the connection.
    handing: tokio::sync::RwLock<()>,
    /// One changes the profile at a time.
    saving: tokio::sync::Mutex<()>,
    /// One asks for the mailbox's end at a time.
    draining: tokio::sync::Mutex<()>,
    people: Mutex<HashMap<AccountId, Arc<Person>>>,
    rooms: rooms::Rooms,
    /// For what others send.
    allowance: Mutex<Allowance>,
    /// For what the server's directory says of others: nobody's mail uses that up.
    alarm_allowance: Mutex<Allowance>,
    /// For what others say of the transparency log.
    answers: Mutex<audit::Answers>,
    /// The newest verified head of the transparency log.
    head: Mutex<Option<Head>>,
    /// There may be something to audit.
    audit: Notify,
    /// One reads the log at a time.
    auditing: tokio::sync::Mutex<()>,
    /// One looks people up at a time whose records the log has newer ones of.
    looking: tokio::sync::Mutex<()>,
    stop: CancellationToken,
    locked: CancellationToken,
    rekeyed: CancellationToken,
    tasks: TaskTracker,
}

/// The private halves of message keys.
type Keys = HashMap<KeyId, Arc<PrivateKey>>;

/// Who this is.
#[derive(Clone)]
struct Me {
    account: AccountId,
    identity: KeyId,
    device: DeviceId,
    nickname: Nickname,
    color: Color,
}

/// How it stands with the server.
#[derive(Clone)]
enum Link {
    Connecting {
        attempt: u64,
    },
    Up(Session),
    Down {
        attempt: u64,
        error: ClientError,
        /// No attempt begins before this, whoever wants one.
        not_before: Option<Instant>,
    },
}

/// A connection that is logged in.
#[derive(Clone)]
struct Session {
    wire: Wire,
    attempt: u64,
    /// When it was logged in; the mailbox is subscribed to after that.
    since: Instant,
    clock_ahead_ms: i64,
    progress: Arc<watch::Sender<Progress>>,
    /// The groups that this connection has taken to the server, of notes that are being spoken.
    uploads: Arc<tokio::sync::Mutex<HashMap<i64, u32>>>,
    /// What the server says of its transparency log.
    log: audit::Access,
    /// Whether that was read on this connection, or at least asked for.
    log_read: Arc<watch::Sender<bool>>,
    /// Whether the records of all rooms were read on this connection.
    rooms_read: Arc<watch::Sender<bool>>,
    /// How often it was asked in vain for a record of a room that something names.
    in_vain: Arc<Mutex<rooms::InVain>>,
    /// What went wrong on this side, where that has ended it.
    end: Arc<OnceLock<ClientError>>,
}

/// How much of the mailbox is here.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Progress {
    /// Subscriptions that have begun.
    subscribed: u64,
    /// Its end, as of the newest of them, has been reached.
    drained: bool,
    /// Sound is still being fetched.
    fetching: bool,
    /// Lists of who is online that have come.
    listed: u64,
}

impl Engine {
    /// Opens a profile that this process has locked.
    pub(super) async fn open(
        home: Home,
        lock: Lock,
        server: Option<Address>,
        signals: broadcast::Sender<Signal>,
    ) -> Result<Arc<Self>, ClientError> {
        let profile = home.load()?.filter(Profile::is_registered).ok_or_else(|| home.not_registered())?;
        home.destroy_strays(&profile)?;
        let address = match server {
            Some(address) => address,
            None => profile.server.parse().map_err(|_| {
                let path = home.path().join("profile.json");
                super::profile::damaged("the server's address is not one", &path)
            })?,
        };
        let folder = home.clone();
        let (device, current) = (device_name(&profile), profile.message_key);
        let keys = tokio::task::spawn_blocking(move || load_keys(&folder, &device, current));
        let db = Db::open(home.clone()).await?;
        let head = db.run(|db| log::newest(db)).await?.map(|known| known.head);
        let (device_key, message_keys) = keys.await.map_err(|_| stopped())??;
        let engine = Arc::new(Self {
            me: Me {
                account: profile.account,
                identity: profile.identity(),
                device: profile.device,
                nickname: profile.nickname.clone(),
                color: profile.color,
            },
            home,
            _lock: lock,
            address,
            profile: Mutex::new(profile),
            device_key: Arc::new(device_key),
            message_keys: Mutex::new(Arc::new(message_keys)),
            db,
            signals,
            link: watch::Sender::new(Link::Connecting { attempt: 1 }),
            kick: Notify::new(),
            outbox: Notify::new(),
            blocks: Notify::new(),
            decided: Notify::new(),
            fetches: Notify::new(),
            listening: Notify::new(),
            live_news: watch::Sender::new(0),
            speaking: Notify::new(),
            grown: watch::Sender::new(0),
            watching: AtomicBool::new(false),
            presence: Mutex::default(),
            presence_news: Notify::new(),
            told: tokio::sync::Mutex::default(),
            renewing: tokio::sync::Mutex::default(),
            handing: tokio::sync::RwLock::default(),
            saving: tokio::sync::Mutex::default(),
            draining: tokio::sync::Mutex::default(),
            people: Mutex::default(),
            rooms: rooms::Rooms::default(),
            allowance: Mutex::default(),
            alarm_allowance: Mutex::default(),
            answers: Mutex::default(),
            head: Mutex::new(head),
            audit: Notify::new(),
            auditing: tokio::sync::Mutex::default(),
            looking: tokio::sync::Mutex::default(),
            stop: CancellationToken::new(),
            locked: CancellationToken::new(),
            rekeyed: CancellationToken::new(),
            tasks: TaskTracker::new(),
        });
        engine.tasks.spawn(engine.clone().stay_connected());
        engine.tasks.spawn(engine.clone().tend_live());
        Ok(engine)
    }

    /// Ends everything; what is being stored is stored.
    pub(super) async fn close(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        self.db.close().await;
    }

    /// Waits until other keys have taken the place of those that it works with.
    pub(super) async fn rekeyed(&self) {
        self.rekeyed.cancelled().await;
    }

    /// Whether they have: what was asked of this core and failed is for the next one.
    pub(super) fn is_rekeyed(&self) -> bool {
        self.rekeyed.is_cancelled()
    }

    /// Whether somebody has locked the profile.
    pub(super) fn is_locked(&self) -> bool {
        self.locked.is_cancelled()
    }

    /// Waits until somebody locks the profile.
    pub(super) async fn locked(&self) {
        self.locked.cancelled().await;
    }

    /// The same where nobody is kept waiting again for what has just failed.
    async fn session_soon(&self) -> Result<Session, ClientError> {
        match &*self.link.borrow() {
            Link::Down { error, .. } => {
                self.kick.notify_one();
                return Err(error.clone());
            }
            Link::Connecting { attempt } if *attempt > 1 => {
                return Err(self.unreachable("it is being tried again".to_owned()));
            }
            _ => {}
        }
        self.session().await
    }

    /// The connection: the one there is, or the one that the next attempt makes. An attempt begins at once.
    async fn session(&self) -> Result<Session, ClientError> {
        let mut link = self.link.subscribe();
        let asked = match &*link.borrow_and_update() {
            Link::Up(session) if !session.wire.is_closed() => return Ok(session.clone()),
            Link::Connecting { attempt } => *attempt,
            Link::Down { error, not_before: Some(time), .. } if Instant::now() < *time => {
                return Err(error.clone());
            }
            Link::Down { attempt, .. } => attempt.saturating_add(1),
            // It has ended, which is about to be noticed.
            Link::Up(session) => session.attempt.saturating_add(1),
        };
        self.kick.notify_one();
        loop {
            tokio::select! {
                () = self.stop.cancelled() => return Err(stopped()),
                changed = link.changed() => changed.map_err(|_| stopped())?,
            }
            match &*link.borrow_and_update() {
                Link::Up(session) if !session.wire.is_closed() => return Ok(session.clone()),
                Link::Down { attempt, error, .. } if *attempt >= asked => return Err(error.clone()),
                _ => {}
            }
        }
    }

    /// What an error on a connection means for whoever asked.
    fn explain(&self, session: &Session, trouble: Trouble) -> ClientError {
        match (trouble, session.end.get()) {
            (Trouble::Lost, Some(error)) => error.clone(),
            (trouble, _) => self.explain_on(&session.wire, trouble),
        }
    }

    /// The same on one that nobody is logged in on yet.
    fn explain_on(&self, wire: &Wire, trouble: Trouble) -> ClientError {
        match trouble {
            Trouble::Lost => self.unreachable(wire.reason()),
            Trouble::Strange => self.unreachable("the server gave an answer to something else".to_owned()),
            Trouble::Refused { code, retry_after } => refused(code, retry_after),
            Trouble::Local(error) => error,
        }
    }

    fn unreachable(&self, cause: String) -> ClientError {
        ClientError::Unreachable { server: self.address.to_string(), cause }
    }

    /// Changes the local store in one transaction, and tells what happened once that is durable.
    async fn commit<T, F>(&self, work: F) -> Result<T, ClientError>
    where
        T: Send + 'static,
        F: FnOnce(&Transaction<'_>, &mut Vec<Event>) -> Sql<T> + Send + 'static,
    {
        let signals = self.signals.clone();
        self.db
            .run(move |connection| {
                let transaction = connection.transaction()?;
                let mut events = Vec::new();
                let value = work(&transaction, &mut events)?;
                transaction.commit()?;
                for event in events {
                    // Without subscribers there is nobody to tell.
                    let _ = signals.send(Signal::Event(event));
                }
                Ok(value)
            })
            .await
    }

    fn tell(&self, event: Event) {
        // Without subscribers there is nobody to tell.
        let _ = self.signals.send(Signal::Event(event));
    }
}

/// Stores something that the client itself has to say about a conversation.
fn notice(db: &Transaction<'_>, me: &Me, peer: &Nickname, text: String) -> Sql<Message> {
    let body = Body::Notice { text };
    let (conversation, to) = (peer.clone().into(), me.nickname.clone().into());
    let told = messages::New::told(me.device, me.color, peer, (&conversation, &to), &body);
    let arrival = messages::insert(db, &told)?;
    messages::release(db, arrival)
}

/// The same in any conversation.
fn notice_to(db: &Transaction<'_>, me: &Me, peer: &crate::model::Address, text: String) -> Sql<Message> {
    match peer {
        crate::model::Address::Person(name) => notice(db, me, name, text),
        crate::model::Address::Room(room) => notice_in(db, me, room, text),
    }
}

/// The same in a room.
fn notice_in(db: &Transaction<'_>, me: &Me, room: &RoomName, text: String) -> Sql<Message> {
    let (body, room) = (Body::Notice { text }, room.clone().into());
    let told = messages::New::told(me.device, me.color, &me.nickname, (&room, &room), &body);
    let arrival = messages::insert(db, &told)?;
    messages::release(db, arrival)
}

/// The device key, and all message keys that there are: the current one at least.
fn load_keys(home: &Home, device: &str, current: KeyId) -> Result<(PrivateKey, Keys), ClientError> {
    let device = home.load_key(device)?;
    let mut ids = home.message_keys()?;
    if !ids.contains(&current) {
        ids.push(current);
    }
    // Sealed ones take a good part of a second each.
    let ids = ids.into_par_iter();
    let keys = ids.map(|id| Ok((id, Arc::new(home.load_key(&message_key_name(&id))?))));
    Ok((device, keys.collect::<Result<_, ClientError>>()?))
}

fn stopped() -> ClientError {
    ClientError::Internal("the client is closed".to_owned())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
