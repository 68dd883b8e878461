//! Registration: an account, its keys and its place in the directory. It can be repeated until it succeeds.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::crypto::record::{announce_message_key, register as registration_record};
use crate::crypto::{PrivateKey, Purpose};
use crate::model::{Color, KeyId, Millis, Nickname, limits};
use crate::protocol::message::{Answer, RefusalCode, Verb};

use super::db::{Db, log};
use super::engine::{connection, refused};
use super::link::tls::Trust;
use super::link::{Address, Denied};
use super::profile::{DEVICE, Home, IDENTITY, Met, Pending, Profile, message_key_name};
use super::{ClientError, Status};

/// Where keys take longer than this to make, the server is reached anew afterwards: it waits for nobody for long.
const SOON: Duration = Duration::from_secs(2);

/// What a new profile is to be.
#[derive(Clone, Debug)]
pub struct Registration {
    /// The profile's folder; made if it does not exist.
    pub home: PathBuf,
    /// HOST or HOST:PORT.
    pub server: String,
    /// The name.
    pub nickname: Nickname,
    /// The colour; derived from the account where none is chosen.
    pub color: Option<Color>,
    /// Bits of each RSA key: 2048 to 4096.
    pub key_bits: usize,
    /// The server's fingerprint, if it is known: pinned. Otherwise the system's roots have to vouch for the server
    /// ever after if they do now, and if not, its key is pinned as it is met.
    pub fingerprint: Option<KeyId>,
    /// An invitation, for servers that ask for one.
    pub invite: Option<String>,
}

/// Bits of an RSA key where nobody chose.
pub const DEFAULT_KEY_BITS: usize = 3072;

/// Who a profile is registered as, if it is. The server need not be known.
///
/// ```
/// # let home = tempfile::tempdir()?;
/// assert_eq!(tellal::client::registered(home.path())?, None);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`ClientError::Damaged`] when the profile can't be read.
pub fn registered(home: &Path) -> Result<Option<Nickname>, ClientError> {
    let profile = Home::new(home).load()?;
    Ok(profile.filter(|profile| profile.is_registered()).map(|profile| profile.nickname))
}

/// Registers a profile. Keys and intent are on disk before anything is published, so that repeating it
/// after a crash finishes the same registration.
///
/// # Errors
/// [`ClientError::AlreadyRegistered`]; [`ClientError::NoLog`]; [`ClientError::NicknameTaken`],
/// [`ClientError::InviteNeeded`], [`ClientError::Limited`] and [`ClientError::Refused`], after which nothing is kept and the
/// profile can be registered under another name or at another server; [`ClientError::Unreachable`];
/// [`ClientError::WrongFingerprint`].
pub async fn register(registration: Registration) -> Result<Status, ClientError> {
    if !limits::RSA_BITS.contains(&registration.key_bits) {
        let limit = format!("{} to {} bits", limits::RSA_BITS.start(), limits::RSA_BITS.end());
        return Err(ClientError::TooLarge { what: "the key size".to_owned(), limit });
    }
    let address: Address = registration.server.parse()?;
    let home = Home::new(&registration.home);
    home.create()?;
    let Some(_lock) = home.try_lock()? else {
        return Err(match home.load()? {
            Some(profile) if profile.is_registered() => {
                ClientError::AlreadyRegistered { nickname: profile.nickname }
            }
            _ => ClientError::Busy { what: "another registration".to_owned() },
        });
    };
    let begun = home.load()?;
    if let Some(profile) = begun.as_ref().filter(|profile| profile.is_registered()) {
        return Err(ClientError::AlreadyRegistered { nickname: profile.nickname.clone() });
    }
    let same = match begun {
        Some(begun) => resume(&home, &registration, &address, begun).await?,
        None => None,
    };
    // Keys take a moment: they are made while the server is being reached.
    let making = async {
        match &same {
            Some(_) => Ok(None),
            None => make_keys(registration.key_bits).await.map(Some),
        }
    };
    let trust = match (registration.fingerprint, &same) {
        (Some(pin), _) => Some(Trust::Pinned(pin)),
        // The roots vouch for a name: for the one that it is to be reached under from now on.
        (None, Some(begun)) if begun.roots => Some(Trust::Roots(address.host.clone())),
        (None, Some(begun)) => Some(begun.trust()?),
        (None, None) => None,
    };
    let begun_at = Instant::now();
    let (made, greeted) = tokio::join!(making, connection::greet(&address, trust.as_ref()));
    let mut greeted = greeted?;
    if begun_at.elapsed() > SOON {
        greeted.wire.close();
        greeted = connection::greet(&address, trust.as_ref()).await?;
    }
    let Some(log_certificate) = greeted.log.clone() else {
        greeted.wire.close();
        return Err(ClientError::NoLog { server: address.to_string() });
    };
    let server = Met {
        server_key: greeted.server_key,
        roots: greeted.by_roots,
        server_id: greeted.server,
        log_certificate,
    };
    let (profile, is_new) = match (same, made?) {
        (Some(begun), _) if begun.server_id == greeted.server => {
            // It may have been begun under an address that is no longer right.
            let profile = begun.at(address.to_string(), server);
            home.save(&profile)?;
            (profile, false)
        }
        (_, made) => {
            let keys = match made {
                Some(keys) => keys,
                None => make_keys(registration.key_bits).await?,
            };
            (prepare(&home, &registration, &address, server, keys).await?, true)
        }
    };
    begin_history(&home, &profile).await?;
    let published = publish(&home, &profile, &greeted, registration.invite).await;
    greeted.wire.close();
    if let Err(error) = published {
        if is_refusal(&error) {
            // What is refused now may have been taken before, when the answer was lost.
            let arrived = if is_new { Ok(false) } else { has_arrived(&home, &profile).await };
            match arrived {
                Ok(true) => return finish(&home, profile),
                Ok(false) => discard(&home, profile).await?,
                Err(_) => {}
            }
        }
        return Err(error);
    }
    finish(&home, profile)
}

/// What was begun before, if it is what is asked for now; else it is taken back.
async fn resume(
    home: &Home,
    registration: &Registration,
    address: &Address,
    begun: Profile,
) -> Result<Option<Profile>, ClientError> {
    let same = is_same(&begun, registration);
    if same && begun.server == address.to_string() {
        return Ok(Some(begun));
    }
    match has_arrived(home, &begun).await {
        // Its keys would be overwritten, and nobody could ever use the account again.
        Ok(true) => {
            begin_history(home, &begun).await?;
            let nickname = finish(home, begun)?.nickname;
            Err(ClientError::AlreadyRegistered { nickname })
        }
        Ok(false) => discard(home, begun).await.map(|()| None),
        // It may be at the other address now.
        Err(ClientError::Unreachable { .. } | ClientError::WrongFingerprint { .. }) if same => {
            Ok(Some(begun))
        }
        Err(error) => Err(error),
    }
}

/// Whether a server has said that it does not take the account, for whatever reason.
fn is_refusal(error: &ClientError) -> bool {
    matches!(
        error,
        ClientError::NicknameTaken { .. }
            | ClientError::InviteNeeded
            | ClientError::Limited { .. }
            | ClientError::Refused { .. }
    )
}

/// Takes back what a registration began: neither its keys nor its server's are kept.
async fn discard(home: &Home, begun: Profile) -> Result<(), ClientError> {
    if let Some(Pending::Registration { account, .. }) = begun.pending.clone() {
        let db = Db::begin(home.clone()).await?;
        let forgotten = db.write(move |db| log::unmade(db, &account)).await;
        db.close().await;
        forgotten?;
    }
    home.discard(&begun)
}

/// What was begun is done.
fn finish(home: &Home, begun: Profile) -> Result<Status, ClientError> {
    let registered = Profile { pending: None, ..begun };
    home.save(&registered)?;
    let server_fingerprint = registered.server_fingerprint();
    Ok(Status {
        nickname: registered.nickname,
        account: registered.account,
        fingerprint: KeyId::from(registered.account).fingerprint(),
        color: registered.color,
        server: registered.server,
        server_fingerprint,
        connected: false,
        queued: 0,
        clock_ahead_ms: None,
    })
}

/// Whether an account whose registration was begun is at its server: the answer may have been lost.
async fn has_arrived(home: &Home, begun: &Profile) -> Result<bool, ClientError> {
    let greeted = connection::greet(&begun.server.parse()?, Some(&begun.trust()?)).await?;
    if greeted.server != begun.server_id {
        greeted.wire.close();
        return Ok(false);
    }
    let (account, device) = (begun.account, begun.device);
    let signature = greeted.prove(device_key(home).await?, Purpose::Login, account, device).await?;
    let answer = greeted.wire.ask(Verb::Login { account, device, signature: signature.into() }).await;
    greeted.wire.close();
    match answer {
        Ok((Answer::LoggedIn, _)) => Ok(true),
        Err(Denied::Refused { code: RefusalCode::LoginRefused, .. }) => Ok(false),
        Err(denied) => Err(denied_by(&greeted, &begun.server, denied)),
        Ok(_) => Err(strange(&begun.server)),
    }
}

async fn device_key(home: &Home) -> Result<Arc<PrivateKey>, ClientError> {
    let home = home.clone();
    Ok(Arc::new(super::engine::compute(move || home.load_key(DEVICE)).await??))
}

/// Whether what was begun is what is asked for now.
fn is_same(profile: &Profile, registration: &Registration) -> bool {
    let color = registration.color.unwrap_or_else(|| Color::derived(&profile.account));
    let asked = match &profile.pending {
        Some(Pending::Registration { bits, .. }) => *bits == registration.key_bits,
        _ => false,
    };
    asked
        && profile.nickname.as_str() == registration.nickname.as_str()
        && profile.color == color
        && registration.fingerprint.is_none_or(|pin| !profile.roots && pin == profile.server_key)
}

/// Identity key, device key, first message key.
struct Keys {
    identity: PrivateKey,
    device: PrivateKey,
    message: PrivateKey,
}

async fn make_keys(bits: usize) -> Result<Keys, ClientError> {
    let made = super::engine::compute(move || {
        let make = || PrivateKey::generate(bits);
        let (identity, (device, message)) = rayon::join(make, || rayon::join(make, make));
        Ok(Keys { identity: identity?, device: device?, message: message? })
    });
    made.await?.map_err(|error: crate::crypto::KeyError| ClientError::Internal(error.to_string()))
}

/// Signs the records and makes everything durable.
async fn prepare(
    home: &Home,
    registration: &Registration,
    address: &Address,
    server: Met,
    keys: Keys,
) -> Result<Profile, ClientError> {
    let (home, address) = (home.clone(), address.to_string());
    let (nickname, chosen, bits) = (registration.nickname.clone(), registration.color, registration.key_bits);
    let prepared = super::engine::compute(move || {
        let Keys { identity, device, message } = keys;
        let failed = |error: crate::crypto::SealError| ClientError::Internal(error.to_string());
        let now = Millis::now();
        let account_id = identity.public().id().into();
        let account = registration_record(&identity, device.public(), nickname.clone(), chosen, now);
        let message_key = announce_message_key(&device, account_id, message.public(), now, None);
        let pending = Pending::Registration {
            account: account.map_err(failed)?,
            message_key: message_key.map_err(failed)?,
            bits,
        };
        home.save_key(IDENTITY, &identity)?;
        home.save_key(DEVICE, &device)?;
        home.save_key(&message_key_name(&message.public().id()), &message)?;
        let color = chosen.unwrap_or_else(|| Color::derived(&account_id));
        let ids = (account_id, device.public().id().into());
        let message = (message.public().id(), now);
        let profile = Profile::new(address, server, (nickname, color), ids, message, pending);
        home.save(&profile)?;
        Ok(profile)
    });
    prepared.await?
}

/// Begins the history with the account's first record noted as one's own, before it is in anybody else's hands:
/// whatever else the directory and the log ever have of the account is held against it.
async fn begin_history(home: &Home, profile: &Profile) -> Result<(), ClientError> {
    let Some(Pending::Registration { account, .. }) = profile.pending.clone() else { return Ok(()) };
    let db = Db::begin(home.clone()).await?;
    let noted = db.write(move |db| log::made(db, &account)).await;
    db.close().await;
    noted
}

/// Puts the account into the directory, unless that has happened before.
async fn publish(
    home: &Home,
    profile: &Profile,
    greeted: &connection::Greeted,
    invite: Option<String>,
) -> Result<(), ClientError> {
    let Some(Pending::Registration { account, message_key, .. }) = profile.pending.clone() else {
        return Ok(());
    };
    let device = device_key(home).await?;
    let proof = greeted.prove(device, Purpose::Registration, profile.account, profile.device);
    let signature = proof.await?.into();
    let answer = greeted.wire.ask(Verb::Register { record: account, message_key, signature, invite }).await;
    match answer {
        Ok((Answer::LoggedIn, _)) => Ok(()),
        Err(Denied::Refused { code: RefusalCode::NicknameTaken, .. }) => {
            Err(ClientError::NicknameTaken { nickname: profile.nickname.clone() })
        }
        Err(denied) => Err(denied_by(greeted, &profile.server, denied)),
        Ok(_) => Err(strange(&profile.server)),
    }
}

fn denied_by(greeted: &connection::Greeted, server: &str, denied: Denied) -> ClientError {
    match denied {
        Denied::Refused { code, retry_after } => refused(code, retry_after),
        Denied::Lost => ClientError::Unreachable {
            server: server.to_owned(),
            cause: format!("{}; run the same command again", greeted.wire.reason()),
        },
    }
}

fn strange(server: &str) -> ClientError {
    let cause = "the server gave an answer to something else".to_owned();
    ClientError::Unreachable { server: server.to_owned(), cause }
}
