#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may")]

use std::net::{Ipv4Addr, SocketAddr};
use std::task::{Context, Poll, Wake, Waker};

use minicbor::bytes::ByteVec;
use tokio::sync::Notify;
use tokio::time::timeout;

use super::*;
use crate::crypto::record::{announce_message_key, register, rekey, verify_account};
use crate::crypto::test_keys::{AYŞE, BURAK};
use crate::crypto::{Purpose, session as proofs};
use crate::server::hub::Hub;
use crate::server::limits::Windows;
use crate::server::rooms::RoomWatchers;
use crate::server::{LogSigner, Options};
use crate::store::SqliteStore;

/// How long anything may take; only a failure waits so long.
const PATIENCE: Duration = Duration::from_secs(60);

type Served = Arc<Shared<SqliteStore>>;

/// A server, ayşe who has registered with it, and what puts new keys (burak's) in the place of all of hers.
struct Scene {
    _folder: tempfile::TempDir,
    shared: Served,
    session: Session<SqliteStore>,
    new_keys: Verb,
}

impl Scene {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options = Options::default();
        let store = SqliteStore::open(folder.path()).unwrap();
        let log = LogSigner::from_folder(folder.path()).unwrap();
        let identity = crate::server::tls::from_folder(folder.path()).unwrap();
        let shared = Arc::new(Shared {
            certificate: log.certify(store.server_id(), &identity).unwrap(),
            store,
            log,
            hub: Hub::default(),
            rooms: RoomWatchers::default(),
            options,
            shutdown: CancellationToken::new(),
            handshakes: crate::server::handshake::turns(),
            logins: Windows::new(options.limits.minute),
            registrations: Windows::new(options.limits.hour),
            sending: Windows::new(options.limits.minute),
            asking: Windows::new(options.limits.minute),
            changing: Windows::new(options.limits.minute),
        });
        let now = Millis::now();
        let name = AYŞE.account.nickname.clone();
        let record = register(&AYŞE.identity, AYŞE.device.public(), name, None, now).unwrap();
        let account = verify_account(std::slice::from_ref(&record)).unwrap();
        let key = |device, message| announce_message_key(device, account.id, message, now, None).unwrap();
        let mut session = connected(&shared);
        let signature = sign(&session, Purpose::Registration);
        let message_key = key(&AYŞE.device, AYŞE.message.public());
        let verb = Verb::Register { record, message_key, signature, invite: None };
        assert_eq!(ask(&mut session, verb).await, [LOGGED_IN]);
        let record = rekey(&account, &AYŞE.identity, &BURAK.identity, BURAK.device.public(), now).unwrap();
        let message_key = Some(key(&BURAK.device, BURAK.message.public()));
        Self { _folder: folder, shared, session, new_keys: Verb::PublishRecord { record, message_key } }
    }
}

const LOGGED_IN: Push = Push::Reply { number: 1, answer: Answer::LoggedIn };
const DONE: Push = Push::Reply { number: 1, answer: Answer::Done };

fn connected(shared: &Served) -> Session<SqliteStore> {
    let peer = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
    Session::new(shared.clone(), [7; 32], peer.into())
}

/// The signature of ayşe's device for this connection.
fn sign(session: &Session<SqliteStore>, purpose: Purpose) -> ByteVec {
    let device = AYŞE.device.public().id().into();
    let proof = SessionProof { account: AYŞE.account.id, device, ..session.proof.clone() };
    proofs::sign(&AYŞE.device, purpose, &proof).unwrap().into()
}

fn login(session: &Session<SqliteStore>) -> Verb {
    let device = AYŞE.device.public().id().into();
    Verb::Login { account: AYŞE.account.id, device, signature: sign(session, Purpose::Login) }
}

/// Begins what is asked.
fn begin(session: &mut Session<SqliteStore>, verb: Verb) -> Pending {
    session.ask(Request { number: 1, verb }, 0, Bytes::new()).1.unwrap()
}

/// Asks, and carries it out to its end; what is sent.
async fn ask(session: &mut Session<SqliteStore>, verb: Verb) -> Vec<Push> {
    let pending = begin(session, verb);
    let done = pending.await;
    finish(session, done).await
}

async fn finish(session: &mut Session<SqliteStore>, mut done: Done) -> Vec<Push> {
    let mut sent = Vec::new();
    loop {
        let (frames, next) = session.done(done);
        sent.extend(frames.into_iter().map(|(push, _)| push));
        let Some(next) = next else { return sent };
        done = next.await;
    }
}

#[tokio::test]
async fn a_device_that_is_removed_once_its_login_was_checked_is_not_let_in() {
    let Scene { shared, mut session, new_keys, _folder } = Scene::new().await;
    let mut other = connected(&shared);
    let verb = login(&other);
    let checked = begin(&mut other, verb).await;
    assert_eq!(ask(&mut session, new_keys).await, [DONE]);
    let refused = Push::Refusal { number: 1, code: RefusalCode::LoginRefused, retry_after: None };
    assert_eq!(finish(&mut other, checked).await, [refused]);
    assert!(!other.is_logged_in());
    let asked = other.ask(Request { number: 2, verb: Verb::Ping }, 0, Bytes::new()).0;
    let not_logged_in = Push::Refusal { number: 2, code: RefusalCode::NotLoggedIn, retry_after: None };
    assert_eq!(asked, Some(not_logged_in));
    assert!(!shared.hub.is_online(&AYŞE.account.id));
}

#[tokio::test]
async fn a_device_that_logs_in_while_it_is_removed_does_not_stay() {
    let Scene { shared, mut session, new_keys, _folder } = Scene::new().await;
    // As with stolen keys: another session of the same device takes the first one's place, which is about to end it.
    let removing = begin(&mut session, new_keys);
    let mut other = connected(&shared);
    let verb = login(&other);
    assert_eq!(ask(&mut other, verb).await, [LOGGED_IN]);
    let removed = removing.await;
    assert_eq!(finish(&mut session, removed).await, [DONE]);
    timeout(PATIENCE, other.replaced()).await.expect("a device that was removed goes on");
}

#[tokio::test]
async fn the_session_that_removes_its_own_device_may_hear_what_waits_for_it() {
    let Scene { mut session, new_keys, shared, _folder } = Scene::new().await;
    assert_eq!(ask(&mut session, new_keys).await, [DONE]);
    assert!(shared.hub.is_online(&AYŞE.account.id));
    let subscribed = ask(&mut session, Verb::Subscribe { after: None }).await;
    assert!(matches!(*subscribed, [Push::Reply { answer: Answer::Subscribed { .. }, .. }]), "{subscribed:?}");
}

struct Woken(Notify);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.notify_one();
    }
}

#[tokio::test]
async fn a_removed_device_is_ended_though_the_connection_that_removed_it_has_broken_off() {
    let Scene { shared, mut session, new_keys, _folder } = Scene::new().await;
    let mut removing = begin(&mut session, new_keys);
    let mut other = connected(&shared);
    let verb = login(&other);
    assert_eq!(ask(&mut other, verb).await, [LOGGED_IN]);
    // As far as the store: from there on nobody looks any more.
    let woken = Arc::new(Woken(Notify::new()));
    let waker = Waker::from(woken.clone());
    while shared.store.account(AYŞE.account.id).await.unwrap().unwrap().chain.len() == 1 {
        let Poll::Pending = removing.as_mut().poll(&mut Context::from_waker(&waker)) else {
            panic!("done before it is stored")
        };
        woken.0.notified().await;
    }
    drop(removing);
    drop(session);
    timeout(PATIENCE, other.replaced()).await.expect("a device that was removed goes on");
}
