//! Connecting, logging in, and doing it again after each loss.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use crate::client::db::inbox;
use crate::client::link::backoff::Backoff;
use crate::client::link::tls::{self, Trust};
use crate::client::link::wire::{Pushes, wait, wire};
use crate::client::link::{Address, Denied, Pushed, Wire};
use crate::client::profile::{Pending, Profile, device_name};
use crate::client::{ClientError, Event};
use crate::crypto::{PrivateKey, Purpose, certificate, session};
use crate::model::{AccountId, DeviceId, KeyId, LogCertificate, Millis, ServerId};
use crate::protocol::VERSION;
use crate::protocol::message::{Answer, GoodbyeReason, Push, RefusalCode, SessionProof, Verb};

use super::rekeying::not_taken;
use super::{Engine, Link, Progress, Session, Trouble, compute, limited, lock, refused, stopped};

/// How long the server may take for its first words and for a login.
const PATIENCE: Duration = Duration::from_secs(20);
const SILENT: &str = "the server does not answer";

/// A connection on which the server has introduced itself.
pub(in crate::client) struct Greeted {
    pub wire: Wire,
    pub pushes: Pushes,
    /// Ends with the connection, telling the reason.
    pub run: tokio::task::JoinHandle<String>,
    pub server_key: KeyId,
    pub by_roots: bool,
    pub server: ServerId,
    /// What it signs its transparency log with, if it shows such a key and its TLS key vouches for it.
    pub log: Option<LogCertificate>,
    /// How far its clock is ahead of this machine's.
    pub clock_ahead_ms: i64,
    nonce: [u8; 32],
    exporter: [u8; 32],
}

/// Connects, and hears who the server is.
pub(in crate::client) async fn greet(
    address: &Address,
    trust: Option<&Trust>,
) -> Result<Greeted, ClientError> {
    let secured = tls::connect(address, trust).await?;
    let (wire, mut pushes, run) = wire(secured.stream);
    let run = tokio::spawn(run);
    let unreachable =
        |cause: &str| ClientError::Unreachable { server: address.to_string(), cause: cause.to_owned() };
    let hello = timeout(PATIENCE, pushes.next()).await.map_err(|_| unreachable("no greeting"))?;
    if let Some(Pushed { push: Push::Goodbye { reason: GoodbyeReason::Limited, retry_after }, .. }) = hello {
        let wait = retry_after.map(wait);
        return Err(limited("the server takes no more connections for now, in all or from here", wait));
    }
    let Some(Pushed { push: Push::Hello { versions, server, nonce, time, log }, .. }) = hello else {
        if let None | Some(Pushed { push: Push::Goodbye { .. }, .. }) = hello {
            wire.ended().await;
            return Err(unreachable(&wire.reason()));
        }
        wire.close();
        return Err(unreachable("something else than a tellal server answers there"));
    };
    if !versions.contains(&VERSION) {
        wire.close();
        return Err(ClientError::Refused {
            reason: "it speaks another version of the protocol; bring both to the same version".to_owned(),
        });
    }
    Ok(Greeted {
        wire,
        pushes,
        run,
        server_key: secured.server_key,
        by_roots: secured.by_roots,
        server,
        log: log.filter(|log| vouches(log, server, secured.server_key)),
        clock_ahead_ms: difference(time, Millis::now()),
        nonce: nonce.into(),
        exporter: secured.exporter,
    })
}

/// Whether this server's TLS key has signed that.
fn vouches(log: &LogCertificate, server: ServerId, server_key: KeyId) -> bool {
    log.server == server && log.tls_key_id() == server_key && certificate::verify(log).is_ok()
}

/// `one` after `other`, in milliseconds.
fn difference(one: Millis, other: Millis) -> i64 {
    let signed = |time: Millis| i64::try_from(time.0).unwrap_or(i64::MAX);
    signed(one).saturating_sub(signed(other))
}

impl Greeted {
    /// The device's signature for this connection.
    pub(in crate::client) async fn prove(
        &self,
        key: Arc<PrivateKey>,
        purpose: Purpose,
        account: AccountId,
        device: DeviceId,
    ) -> Result<Vec<u8>, ClientError> {
        let proof = SessionProof {
            server: self.server,
            account,
            device,
            nonce: self.nonce.into(),
            exporter: self.exporter.into(),
        };
        let signature = compute(move || session::sign(&key, purpose, &proof)).await?;
        signature.map_err(|error| ClientError::Internal(error.to_string()))
    }
}

impl Engine {
    /// Connects, and again after each loss, until the end.
    pub(super) async fn stay_connected(self: Arc<Self>) {
        let mut attempt = 0;
        let mut backoff = Backoff::default();
        let mut said: Option<String> = None;
        while !self.stop.is_cancelled() {
            attempt += 1;
            self.link.send_replace(Link::Connecting { attempt });
            let logged_in = tokio::select! {
                () = self.stop.cancelled() => break,
                result = self.log_in(attempt) => result,
            };
            let error = match logged_in {
                Ok((session, greeted)) => {
                    let begun = Instant::now();
                    let error = self.serve(session, greeted).await;
                    backoff.lasted(begun.elapsed());
                    said = None;
                    error
                }
                Err(error) => error,
            };
            // Where the server has said when, that is kept to, whoever is in a hurry.
            let wait = match &error {
                ClientError::Limited { retry_in_ms, .. } => backoff.told(Duration::from_millis(*retry_in_ms)),
                _ => backoff.pause(),
            };
            let is_limited = matches!(error, ClientError::Limited { .. });
            let not_before = is_limited.then(|| std::time::Instant::now() + wait);
            self.link.send_replace(Link::Down { attempt, error: error.clone(), not_before });
            let reason = error.to_string();
            if said.as_ref() != Some(&reason) && !self.stop.is_cancelled() {
                let retry_in_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
                self.tell(Event::Disconnected { reason: reason.clone(), retry_in_ms });
                said = Some(reason);
            }
            tokio::select! {
                () = self.stop.cancelled() => {}
                () = tokio::time::sleep(wait) => {}
                () = self.kick.notified(), if !is_limited => {}
            }
        }
        self.link.send_replace(Link::Down { attempt: u64::MAX, error: stopped(), not_before: None });
    }

    async fn log_in(&self, attempt: u64) -> Result<(Session, Greeted), ClientError> {
        let (trust, server) = {
            let profile = lock(&self.profile);
            (profile.trust()?, profile.server_id)
        };
        let greeted = greet(&self.address, Some(&trust)).await?;
        if greeted.server != server {
            greeted.wire.close();
            return Err(ClientError::Refused {
                reason: "it is another server than the one this profile is registered with; \
                         ask whoever runs it"
                    .to_owned(),
            });
        }
        let (account, device) = (self.me.account, self.me.device);
        let signature = greeted.prove(self.device_key.clone(), Purpose::Login, account, device).await?;
        let login = Verb::Login { account, device, signature: signature.into() };
        match timeout(PATIENCE, greeted.wire.ask(login)).await {
            Ok(Ok((Answer::LoggedIn, _))) => {}
            Ok(Err(Denied::Refused { code: RefusalCode::LoginRefused, .. }))
                if !self.keys_to_come().is_empty() =>
            {
                return Err(self.try_new_keys(attempt).await?);
            }
            Ok(Err(denied)) => return Err(self.explain_on(&greeted.wire, denied.into())),
            Ok(Ok(_)) => {
                greeted.wire.close();
                return Err(self.explain_on(&greeted.wire, Trouble::Strange));
            }
            Err(_) => {
                greeted.wire.close();
                return Err(self.unreachable(SILENT.to_owned()));
            }
        }
        Ok((self.begin(&greeted, attempt).await?, greeted))
    }

    /// What is known of a connection that is logged in.
    async fn begin(&self, greeted: &Greeted, attempt: u64) -> Result<Session, ClientError> {
        let clock_ahead_ms = greeted.clock_ahead_ms;
        let progress = Arc::new(watch::Sender::new(Progress::default()));
        let (wire, since) = (greeted.wire.clone(), std::time::Instant::now());
        let (uploads, log) = (Arc::default(), self.meet_log(greeted.log.clone()).await?);
        let [log_read, rooms_read] = [(); 2].map(|()| Arc::new(watch::Sender::new(false)));
        let (in_vain, end) = (Arc::default(), Arc::default());
        Ok(Session {
            wire,
            attempt,
            since,
            clock_ahead_ms,
            progress,
            uploads,
            log,
            log_read,
            rooms_read,
            in_vain,
            end,
        })
    }

    /// The old device is no longer known: perhaps the server has taken the new keys, and its word was lost, or untrue.
    async fn try_new_keys(&self, attempt: u64) -> Result<ClientError, ClientError> {
        let refused = refused(RefusalCode::LoginRefused, None);
        for pending in self.keys_to_come() {
            let error = self.try_keys(attempt, pending).await?;
            if error != refused {
                return Ok(error);
            }
        }
        Ok(refused)
    }

    async fn try_keys(&self, attempt: u64, pending: Pending) -> Result<ClientError, ClientError> {
        let Pending::Rekey { record, identity, device, .. } = &pending else {
            return Ok(refused(RefusalCode::LoginRefused, None));
        };
        let profile = lock(&self.profile).clone();
        let new = Profile { identity: Some(*identity), device: *device, ..profile.clone() };
        let home = self.home.clone();
        let key = compute(move || home.load_key(&device_name(&new))).await??;
        let mut greeted = greet(&self.address, Some(&profile.trust()?)).await?;
        let (account, device) = (profile.account, *device);
        let signature = greeted.prove(Arc::new(key), Purpose::Login, account, device).await?;
        let login = Verb::Login { account, device, signature: signature.into() };
        let session = self.begin(&greeted, attempt).await?;
        let trial = async {
            let (answer, _) = session.wire.ask(login).await?;
            let Answer::LoggedIn = answer else { return Err(Trouble::Strange) };
            // The old keys are destroyed for no mere word: directory and log have to show the record.
            self.has_taken(&session, record).await
        };
        // Nothing that is pushed is for this connection: it stays where it is, unacknowledged.
        let passed_over = async {
            while greeted.pushes.next().await.is_some() {}
            std::future::pending().await
        };
        let trial = timeout(PATIENCE, async {
            tokio::select! {
                taken = trial => taken,
                () = passed_over => Err(Trouble::Lost),
            }
        });
        let trial = trial.await;
        session.wire.close();
        match trial {
            Ok(Ok(true)) => {
                self.finish_rekey(pending).await?;
                Ok(self.unreachable("new keys take the old ones' places".to_owned()))
            }
            Ok(Ok(false)) => Ok(not_taken()),
            Ok(Err(trouble)) => Ok(self.explain_on(&session.wire, trouble)),
            Err(_) => Ok(self.unreachable(SILENT.to_owned())),
        }
    }

    /// Works on a connection until it ends; why it did.
    async fn serve(&self, session: Session, greeted: Greeted) -> ClientError {
        let Greeted { wire, pushes, run, .. } = greeted;
        self.forget_list();
        self.link.send_replace(Link::Up(session.clone()));
        self.tell(Event::Connected);
        let closing = async {
            tokio::select! {
                () = self.stop.cancelled() => wire.close(),
                () = wire.ended() => {}
            }
        };
        // Each part ends when the connection has, at a point where nothing is half done.
        let ended = |result: Result<(), Trouble>| {
            if let Err(trouble @ (Trouble::Strange | Trouble::Refused { .. } | Trouble::Local(_))) = result {
                // Known before those who wait learn of the end.
                let _ = session.end.set(self.explain_on(&wire, trouble));
            }
            wire.close();
        };
        tokio::join!(
            async { ended(self.receive(&session, pushes).await) },
            async { ended(self.send_outbox(&session).await) },
            async { ended(self.fetch_sound(&session).await) },
            async { ended(self.send_live(&session).await) },
            async { ended(self.listen(&session).await) },
            async { ended(self.renew_keys(&session).await) },
            async { ended(self.audit_always(&session).await) },
            async { ended(self.tend_rooms(&session).await) },
            async { ended(self.tell_presence(&session).await) },
            async { ended(self.keep_telling_blocks(&session).await) },
            closing,
        );
        let reason = run.await.unwrap_or_else(|_| "the connection broke off".to_owned());
        session.end.get().cloned().unwrap_or_else(|| self.unreachable(reason))
    }

    /// Begins to get the mailbox pushed; where its kept part begins.
    pub(super) async fn subscribe(&self, session: &Session) -> Result<(), Trouble> {
        let cursor = self.db.run(|db| inbox::cursor(db)).await?;
        let (answer, _) = session.wire.ask(Verb::Subscribe { after: cursor }).await?;
        let Answer::Subscribed { oldest } = answer else { return Err(Trouble::Strange) };
        self.db.write(move |db| inbox::release_held_back(db, oldest, true)).await?;
        let expired = match cursor {
            Some(cursor) if cursor.epoch == oldest.epoch => oldest.seq.saturating_sub(cursor.seq),
            // Read again from its beginning: what is not there any more may have been read before.
            Some(_) => 0,
            // Never read before, and this is the account's only device.
            None => oldest.seq,
        };
        if expired > 0 {
            let me = self.me.clone();
            self.commit(move |db, events| {
                let what = match expired {
                    1 => "1 message has gone from the server that this profile has not had".to_owned(),
                    count => format!("{count} messages have gone from the server that this profile has not had"),
                };
                let text = format!(
                    "{what}: mail waits there for 30 days, or else this is an older copy of the profile. Ask your \
                     friends to send again what you miss"
                );
                events.push(Event::Message(super::notice(db, &me, &me.nickname, text)?));
                inbox::set_cursor(db, oldest)
            })
            .await?;
        }
        Ok(())
    }
}
