//! What a connection may ask, and what it is answered and told.

use std::future::{Future, pending};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_util::sync::CancellationToken;

use super::acknowledging::Acknowledging;
use super::hub::Hub;
use super::limits::Source;
use super::mailbox::Mailbox;
use super::rooms::RoomNews;
use super::verb::Counted;
use super::watching::Watching;
use super::{Shared, connection, verb};
use crate::model::{AccountId, DeviceId, Entry, Millis, Position, RoomId};
use crate::protocol::VERSION;
use crate::protocol::message::{Answer, Push, RefusalCode, Request, SessionProof, Verb};
use crate::store::{Bounds, Store, StoreError, Wakeups};

/// A request under way, or a read of the mailbox.
pub type Pending = Pin<Box<dyn Future<Output = Done> + Send>>;

/// Frames to send: heads and bodies.
pub type Frames = Vec<(Push, Bytes)>;

/// Bulky answers of one connection that may be in memory at once: chunks, and pages of the directory and of the log.
const BULKY: usize = 16;

/// Where a request with a bulky answer waits for its turn, before the answer is read.
pub type Bulk = Arc<Semaphore>;

/// What has come of something that was under way.
pub enum Done {
    /// An answer.
    Answer(u32, Answer, Bytes),
    /// A bulky answer.
    Bulky(u32, Answer, Bytes, Option<OwnedSemaphorePermit>),
    /// A refusal.
    Refusal(u32, StoreError),
    /// A refusal that is none of the store's.
    Refused(u32, RefusalCode),
    /// The connection is this device's, by as many records of the account as there were when it was checked.
    LoggedIn(u32, Who, usize),
    /// And still is, now that its session can be told to end.
    Confirmed(u32),
    /// The ends of the mailbox are known, and where the device stands in it. It was watched since before they were
    /// asked for, so that nothing is missed in between.
    Subscribed(u32, Bounds, Option<Position>, Wakeups),
    /// Part of the mailbox, for the subscription of this number.
    Entries(u64, Result<Vec<Arc<Entry>>, StoreError>),
    /// What was acknowledged is written.
    Acknowledged,
}

/// Who a session belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Who {
    /// The account.
    pub account: AccountId,
    /// The device.
    pub device: DeviceId,
}

/// Who asks for what ends sessions, and by which session.
pub struct Asker {
    /// Who.
    pub who: Who,
    /// Cancelled once another session has taken its place.
    pub session: CancellationToken,
}

/// A login. Dropping it takes the device off the hub.
struct Login<S> {
    shared: Arc<Shared<S>>,
    who: Who,
    replaced: CancellationToken,
}

impl<S> Drop for Login<S> {
    fn drop(&mut self) {
        self.shared.hub.leave(self.who.account, self.who.device, &self.replaced);
    }
}

/// The state of one connection.
pub struct Session<S: Store> {
    shared: Arc<Shared<S>>,
    source: Source,
    proof: SessionProof,
    logging_in: bool,
    login: Option<Login<S>>,
    mailbox: Option<Mailbox>,
    acknowledging: Acknowledging,
    watching: Option<Watching>,
    /// How long the transparency log is, once it has been read.
    log: Option<watch::Receiver<u64>>,
    /// Which rooms have changed, once one has been read.
    rooms: Option<RoomNews>,
    turn: verb::blob::Turn,
    bulk: Bulk,
    /// Of bulky answers that wait to be sent.
    waiting: Vec<OwnedSemaphorePermit>,
    failed: bool,
    /// Something was asked where it could not be.
    out_of_order: bool,
}

impl<S: Store> Session<S> {
    /// A session of nobody yet, on a connection with this TLS exporter.
    pub fn new(shared: Arc<Shared<S>>, exporter: [u8; 32], source: Source) -> Self {
        let proof = SessionProof {
            server: shared.store.server_id(),
            account: AccountId::new([0; 32]),
            device: DeviceId::new([0; 32]),
            nonce: rand::random::<[u8; 32]>().into(),
            exporter: exporter.into(),
        };
        Self {
            shared,
            source,
            proof,
            logging_in: false,
            login: None,
            mailbox: None,
            acknowledging: Acknowledging::default(),
            watching: None,
            log: None,
            rooms: None,
            turn: verb::blob::Turn::default(),
            bulk: Arc::new(Semaphore::new(BULKY)),
            waiting: Vec::new(),
            failed: false,
            out_of_order: false,
        }
    }

    /// The first frame.
    pub fn hello(&self) -> Push {
        Push::Hello {
            versions: vec![VERSION],
            server: self.proof.server,
            nonce: self.proof.nonce,
            time: Millis::now(),
            log: Some(self.shared.certificate.clone()),
        }
    }

    /// Whether it belongs to a device.
    pub fn is_logged_in(&self) -> bool {
        self.login.is_some() && !self.logging_in
    }

    /// Whether a login is under way: what comes behind it has to wait.
    pub fn is_logging_in(&self) -> bool {
        self.logging_in
    }

    /// Whether its mailbox can't be read. The client is to connect anew, with the patience it has for that.
    pub fn has_failed(&self) -> bool {
        self.failed
    }

    /// Whether something was asked where it could not be: the connection ends.
    pub fn is_out_of_order(&self) -> bool {
        self.out_of_order
    }

    /// Begins what is asked, in a frame of so many bytes. Answers that need no waiting come at once.
    pub fn ask(&mut self, request: Request, bytes: usize, body: Bytes) -> (Option<Push>, Option<Pending>) {
        let Request { number, verb } = request;
        let Some(Login { who, replaced, .. }) = &self.login else {
            return self.ask_as_nobody(number, verb);
        };
        let who = *who;
        if let Err(wait) = self.count_request(who, &verb) {
            return limited(number, wait);
        }
        let (shared, bulk) = (&self.shared, &self.bulk);
        let pending = match verb {
            Verb::Register { .. } | Verb::Login { .. } => {
                return self.refuse_order(number, RefusalCode::Invalid);
            }
            Verb::LookUpName { nickname } => verb::directory::look_up_name(shared, bulk, number, nickname),
            Verb::LookUpAccount { account } => {
                verb::directory::look_up_account(shared, bulk, number, account)
            }
            Verb::ListAccounts { after } => verb::directory::list(shared, bulk, number, after),
            Verb::PublishMessageKey { record } => verb::message_key::publish(shared, who, number, record),
            Verb::PublishRecord { record, message_key } => {
                let asker = Asker { who, session: replaced.clone() };
                verb::account_record::publish(shared, asker, number, record, message_key)
            }
            Verb::Submit { message, conversation, recipients, blobs } => {
                if let Err(wait) = self.count_sending(who, verb::submit::weight(&recipients), bytes) {
                    return limited(number, wait);
                }
                let asked = verb::submit::Submit { message, conversation, recipients, blobs, body };
                verb::submit::submit(shared, who, number, asked)
            }
            Verb::Subscribe { after } => verb::mailbox::subscribe(shared, who, number, after),
            Verb::Acknowledge { position } => match self.acknowledging.take(position) {
                Some(position) => verb::mailbox::acknowledge(shared, who, position),
                None => return (None, None),
            },
            Verb::PutChunk { blob, index } => {
                if let Err(wait) = self.count_sending(who, 0, bytes) {
                    return limited(number, wait);
                }
                verb::blob::put(shared, &self.turn, who, number, blob, index, body)
            }
            Verb::SealBlob { blob, chunks } => {
                verb::blob::seal(shared, &self.turn, who, number, blob, chunks)
            }
            Verb::StatBlob { blob } => verb::blob::stat(shared, &self.turn, who, number, blob),
            Verb::FetchChunk { blob, index } => verb::blob::fetch(shared, bulk, number, blob, index),
            Verb::WatchPresence => {
                let watching = self.watching.insert(Watching::begin(&shared.hub, number));
                return (watching.part(&shared.hub), None);
            }
            Verb::Block { account } => verb::block::set(shared, who, number, account, true),
            Verb::Unblock { account } => verb::block::set(shared, who, number, account, false),
            Verb::AwaitChunk { device, blob, index } => {
                verb::blob::wait(shared, bulk, number, device, blob, index)
            }
            Verb::DropBlob { blob } => verb::blob::forget(shared, &self.turn, who, number, blob),
            Verb::ReadLog { from } => {
                // From here on it is told when there is more.
                self.log.get_or_insert_with(|| shared.store.watch_log());
                verb::log::read(shared, bulk, number, from)
            }
            Verb::ProveLeaf { nickname, size } => verb::log::prove_leaf(shared, number, &nickname, size),
            Verb::ProveGrowth { from, to } => verb::log::prove_growth(shared, number, from, to),
            Verb::PublishRoomRecord { record } => verb::room::publish(shared, bulk, who, number, record),
            Verb::ReadRoom { room, from } => {
                // From here on it is told when one of its rooms has changed.
                self.rooms.get_or_insert_with(|| shared.rooms.watch(who.account));
                verb::room::read(shared, bulk, who, number, room, from)
            }
            Verb::Ping => return answer(number, Answer::Done),
        };
        (None, Some(pending))
    }

    /// Counts a request against those that an account may make in a minute.
    fn count_request(&self, who: Who, verb: &Verb) -> Result<(), Duration> {
        let (shared, limits) = (&self.shared, &self.shared.options.limits);
        let (windows, times, most) = match verb::counted(verb) {
            Counted::Elsewhere => return Ok(()),
            Counted::Question => (&shared.asking, 1, limits.requests),
            // However few are allowed, one is.
            Counted::Changes(times) => (&shared.changing, times.min(limits.changes), limits.changes),
        };
        windows.count(who.account, times, 0, (most, u64::MAX))
    }

    /// Counts what an account sends against what it may send in a minute.
    fn count_sending(&self, who: Who, messages: u32, bytes: usize) -> Result<(), Duration> {
        let limits = &self.shared.options.limits;
        let most = (limits.messages, limits.bytes);
        self.shared.sending.count(who.account, messages, bytes as u64, most)
    }

    /// Counts an attempt to log in or to register against what may come from one address.
    fn count_attempt(&self, registration: bool) -> Result<(), Duration> {
        let (shared, limits) = (&self.shared, &self.shared.options.limits);
        shared.logins.count(self.source, 1, 0, (limits.logins, u64::MAX))?;
        if registration {
            shared.registrations.count(self.source, 1, 0, (limits.registrations, u64::MAX))?;
        }
        Ok(())
    }

    fn ask_as_nobody(&mut self, number: u32, verb: Verb) -> (Option<Push>, Option<Pending>) {
        let registration = match verb {
            Verb::Register { .. } => true,
            Verb::Login { .. } => false,
            _ => return self.refuse_order(number, RefusalCode::NotLoggedIn),
        };
        if let Err(wait) = self.count_attempt(registration) {
            return limited(number, wait);
        }
        let pending = match verb {
            Verb::Register { record, message_key, signature, invite } => {
                let invite = match (self.shared.options.limits.invited, invite) {
                    (false, _) => None,
                    (true, None) => return refuse(number, RefusalCode::InviteNeeded),
                    (true, Some(invite)) => Some(invite),
                };
                let asked = verb::register::Register { record, message_key, signature, invite };
                verb::register::register(&self.shared, &self.proof, number, asked)
            }
            Verb::Login { account, device, signature } => {
                let proof = SessionProof { account, device, ..self.proof.clone() };
                verb::login::login(&self.shared, proof, number, signature.into())
            }
            _ => return self.refuse_order(number, RefusalCode::NotLoggedIn),
        };
        self.logging_in = true;
        (None, Some(pending))
    }

    /// Refuses what no client asks at this point: it is the last thing that is answered.
    fn refuse_order(&mut self, number: u32, code: RefusalCode) -> (Option<Push>, Option<Pending>) {
        self.out_of_order = true;
        refuse(number, code)
    }

    /// Takes in what has come of something, and gives what is to be sent and what is to be done next.
    pub fn done(&mut self, done: Done) -> (Frames, Option<Pending>) {
        let push = match done {
            Done::Answer(number, answer, body) => {
                return (vec![(Push::Reply { number, answer }, body)], None);
            }
            Done::Bulky(number, answer, body, permit) => {
                self.waiting.extend(permit);
                return (vec![(Push::Reply { number, answer }, body)], None);
            }
            Done::Refusal(number, error) => {
                self.refuse_login();
                refusal(number, verb::code(&error))
            }
            Done::Refused(number, code) => {
                self.refuse_login();
                refusal(number, code)
            }
            Done::LoggedIn(number, who, records) => {
                let shared = Arc::clone(&self.shared);
                let replaced = shared.hub.enter(who.account, who.device);
                let confirmed = verb::login::confirm(&shared, who, number, records);
                self.login = Some(Login { shared, who, replaced });
                return (Vec::new(), Some(confirmed));
            }
            Done::Confirmed(number) => {
                self.logging_in = false;
                Push::Reply { number, answer: Answer::LoggedIn }
            }
            Done::Subscribed(number, bounds, after, wakeups) => {
                self.subscribed(number, bounds, after, wakeups)
            }
            Done::Entries(subscription, entries) => return (self.read(subscription, entries), None),
            Done::Acknowledged => return (Vec::new(), self.acknowledge_more()),
        };
        (vec![(push, Bytes::new())], None)
    }

    /// What was refused is the login, if one was under way: nothing else is, meanwhile.
    fn refuse_login(&mut self) {
        if std::mem::take(&mut self.logging_in) {
            self.login = None;
        }
    }

    /// Deliveries follow.
    fn subscribed(&mut self, number: u32, bounds: Bounds, after: Option<Position>, wakeups: Wakeups) -> Push {
        let oldest = Position { epoch: bounds.epoch, seq: bounds.pruned };
        self.mailbox = Some(Mailbox::subscribe(self.mailbox.as_ref(), bounds, after, wakeups));
        Push::Reply { number, answer: Answer::Subscribed { oldest } }
    }

    /// Writes what was acknowledged while the last one was being written.
    fn acknowledge_more(&mut self) -> Option<Pending> {
        let who = self.login.as_ref()?.who;
        let position = self.acknowledging.written()?;
        Some(verb::mailbox::acknowledge(&self.shared, who, position))
    }

    /// Bulky answers that were waiting have been sent, or nearly: others may be read.
    pub fn sent(&mut self) {
        self.waiting.clear();
    }

    /// The next read of the mailbox, if one is due.
    pub fn next_read(&mut self, room: bool) -> Option<Pending> {
        let account = self.login.as_ref()?.who.account;
        let (subscription, sent) = self.mailbox.as_mut()?.next_read(room)?;
        Some(verb::mailbox::read(&self.shared, account, subscription, sent, connection::HIGH_WATER / 2))
    }

    fn read(&mut self, subscription: u64, entries: Result<Vec<Arc<Entry>>, StoreError>) -> Frames {
        let (Some(login), Some(mailbox)) = (&self.login, &mut self.mailbox) else { return Vec::new() };
        mailbox.read(login.who.device, subscription, entries).unwrap_or_else(|error| {
            tracing::error!(%error, "could not read a mailbox");
            self.failed = true;
            Vec::new()
        })
    }

    /// What is told unasked: what has just come into the mailbox, who has come or gone, that the log has grown, and which
    /// room has changed.
    /// Entries that have come are told together, as long as they fit into about so many bytes.
    pub async fn unasked(&mut self, room: usize) -> Frames {
        let Self { shared, login, mailbox, watching, log, rooms, .. } = self;
        let Some(device) = login.as_ref().map(|login| login.who.device) else { return pending().await };
        tokio::select! {
            entry = next_entry(mailbox.as_mut()) => {
                let (mailbox, entry) = entry;
                mailbox.came(device, entry, room)
            }
            news = next_news(watching.as_mut(), &shared.hub) => vec![(news, Bytes::new())],
            size = next_size(log.as_mut()) => vec![(Push::LogGrown { size }, Bytes::new())],
            room = next_room(rooms.as_mut()) => vec![(Push::RoomChanged { room }, Bytes::new())],
        }
    }

    /// Resolves when the device has logged in on another connection.
    pub fn replaced(&self) -> impl Future<Output = ()> + Send + use<S> {
        let token = self.login.as_ref().map(|login| login.replaced.clone());
        async move {
            match token {
                Some(token) => token.cancelled_owned().await,
                None => pending().await,
            }
        }
    }
}

impl<S: Store> Drop for Session<S> {
    fn drop(&mut self) {
        // The last word of who goes: it is queued by being begun.
        drop(self.acknowledge_more());
    }
}

/// The next entry of a mailbox, if one is subscribed to.
async fn next_entry(mailbox: Option<&mut Mailbox>) -> (&mut Mailbox, Arc<Entry>) {
    match mailbox {
        Some(mailbox) => {
            let entry = mailbox.next().await;
            (mailbox, entry)
        }
        None => pending().await,
    }
}

/// Who is there, or comes and goes.
async fn next_news(watching: Option<&mut Watching>, hub: &Hub) -> Push {
    match watching {
        Some(watching) => watching.next(hub).await,
        None => pending().await,
    }
}

/// The log's size, once it has grown.
async fn next_size(log: Option<&mut watch::Receiver<u64>>) -> u64 {
    if let Some(log) = log
        && log.changed().await.is_ok()
    {
        return *log.borrow_and_update();
    }
    pending().await
}

/// The next room that has changed.
async fn next_room(rooms: Option<&mut RoomNews>) -> RoomId {
    match rooms {
        Some(rooms) => rooms.next().await,
        None => pending().await,
    }
}

fn answer(number: u32, answer: Answer) -> (Option<Push>, Option<Pending>) {
    (Some(Push::Reply { number, answer }), None)
}

fn refuse(number: u32, code: RefusalCode) -> (Option<Push>, Option<Pending>) {
    (Some(refusal(number, code)), None)
}

/// Too much for now; how long that lasts.
fn limited(number: u32, wait: Duration) -> (Option<Push>, Option<Pending>) {
    let retry_after = Some(super::retry_after(wait));
    let push = Push::Refusal { number, code: RefusalCode::Limited, retry_after };
    (Some(push), None)
}

fn refusal(number: u32, code: RefusalCode) -> Push {
    let retry_after = match code {
        RefusalCode::StorageFailed => Some(5_000),
        RefusalCode::ShuttingDown => Some(1_000),
        // When there is room again is up to others: these are times after which asking is no nuisance.
        RefusalCode::MailboxFull | RefusalCode::ShareFull => Some(60_000),
        RefusalCode::BlobQuota => Some(600_000),
        _ => None,
    };
    Push::Refusal { number, code, retry_after }
}

#[cfg(test)]
#[cfg(feature = "client")]
#[path = "session_tests.rs"]
mod tests;
