//! One connection of the load, and what is said on it.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::LoadError;
use super::people::Person;
use crate::client::link::Address;
use crate::client::link::tls::{TlsStream, Trust, connect};
use crate::crypto::{Purpose, record, session};
use crate::model::{KeyId, MessageId, Millis, Position};
use crate::protocol::frame::{self, Limit};
use crate::protocol::message::{Answer, Push, Request, SessionProof, Verb};

/// What a server said.
#[derive(Debug)]
pub enum Heard {
    /// A message is durable.
    Accepted,
    /// A message: what it said, and whatever acknowledges it and all before it.
    Message(Bytes, u64),
    /// The mailbox has been read to its end.
    End,
    /// Nothing that matters here.
    Else,
}

/// How messages are sent and received on a connection: the language of the server under load.
pub trait Language: Send + 'static {
    /// Whom messages go to.
    type To: Send + Sync + 'static;

    /// Appends a message to what is to be written.
    fn submit(&mut self, out: &mut BytesMut, to: &Self::To, body: &[u8]);

    /// Appends the request for one's own mail, from its beginning.
    fn subscribe(&mut self, out: &mut BytesMut);

    /// Appends that everything up to here has been stored.
    fn acknowledge(&mut self, out: &mut BytesMut, up_to: u64);

    /// Takes the next thing out of what was read. `None`: more has to be read.
    ///
    /// # Errors
    /// When the server refuses, or says what can't be.
    fn hear(&mut self, inbox: &mut BytesMut) -> Result<Option<Heard>, LoadError>;
}

/// A connection on which a language is spoken.
#[derive(Debug)]
pub struct Peer<S, L> {
    stream: S,
    /// What is spoken.
    pub language: L,
    /// What is to be written.
    pub out: BytesMut,
    inbox: BytesMut,
}

impl<S: AsyncRead + AsyncWrite + Unpin, L: Language> Peer<S, L> {
    /// On a stream that is ready.
    pub fn new(stream: S, language: L) -> Self {
        Self { stream, language, out: BytesMut::new(), inbox: BytesMut::new() }
    }

    /// Writes what has gathered.
    ///
    /// # Errors
    /// When the connection has ended.
    pub async fn write(&mut self) -> Result<(), LoadError> {
        self.stream.write_all_buf(&mut self.out).await?;
        Ok(self.stream.flush().await?)
    }

    /// The next thing that the server says.
    ///
    /// # Errors
    /// When the connection ends, or the server refuses.
    pub async fn hear(&mut self) -> Result<Heard, LoadError> {
        loop {
            if let Some(heard) = self.language.hear(&mut self.inbox)? {
                return Ok(heard);
            }
            self.inbox.reserve(64 * 1024);
            if self.stream.read_buf(&mut self.inbox).await? == 0 {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
        }
    }

    /// What it says next, if that has been read already.
    ///
    /// # Errors
    /// When the server refuses.
    pub fn ready(&mut self) -> Result<Option<Heard>, LoadError> {
        self.language.hear(&mut self.inbox)
    }
}

/// A server, and the key that it showed.
#[derive(Clone, Debug)]
pub struct Target {
    pub(super) address: Address,
    pub(super) trust: Trust,
    /// As HOST:PORT.
    pub name: String,
}

impl Target {
    /// Connects once, to learn the server's key.
    ///
    /// # Errors
    /// When nothing answers there.
    pub async fn new(server: &str) -> Result<Self, LoadError> {
        let address: Address = server.parse()?;
        let key: KeyId = connect(&address, None).await?.server_key;
        Ok(Self { trust: Trust::Pinned(key), name: address.to_string(), address })
    }

    /// Connects and logs in.
    ///
    /// # Errors
    /// When that fails.
    pub async fn log_in(&self, person: &Arc<Person>) -> Result<Connected, LoadError> {
        self.enter(person, false).await
    }

    /// Connects and registers, which logs in too.
    ///
    /// # Errors
    /// When that fails.
    pub async fn register(&self, person: &Arc<Person>) -> Result<Connected, LoadError> {
        self.enter(person, true).await
    }

    async fn enter(&self, person: &Arc<Person>, register: bool) -> Result<Connected, LoadError> {
        let secured = connect(&self.address, Some(&self.trust)).await?;
        let exporter = secured.exporter;
        let mut peer = Peer::new(secured.stream, Tellal::default());
        let (server, nonce) = match peer.frame().await?.0 {
            Push::Hello { server, nonce, .. } => (server, nonce),
            other => return Err(LoadError::Answer(format!("{other:?}"))),
        };
        let proof = SessionProof {
            server,
            account: person.account(),
            device: person.device(),
            nonce,
            exporter: exporter.into(),
        };
        let who = Arc::clone(person);
        let verb = tokio::task::spawn_blocking(move || introduce(&who, &proof, register));
        let verb = verb.await.map_err(|error| LoadError::Keys(error.to_string()))??;
        peer.language.put(&mut peer.out, verb, &[]);
        peer.write().await?;
        match peer.frame().await?.0 {
            Push::Reply { answer: Answer::LoggedIn, .. } => Ok(peer),
            Push::Refusal { code, .. } => Err(LoadError::Refused(format!("{code:?}"))),
            other => Err(LoadError::Answer(format!("{other:?}"))),
        }
    }
}

/// What registers or logs in.
fn introduce(person: &Person, proof: &SessionProof, register: bool) -> Result<Verb, LoadError> {
    let failed = |error: crate::crypto::SealError| LoadError::Keys(error.to_string());
    let (account, device) = (proof.account, proof.device);
    let purpose = if register { Purpose::Registration } else { Purpose::Login };
    let signature = session::sign(&person.device, purpose, proof).map_err(failed)?.into();
    if !register {
        return Ok(Verb::Login { account, device, signature });
    }
    let now = Millis::now();
    let name = person.nickname.clone();
    let record =
        record::register(&person.identity, person.device.public(), name, None, now).map_err(failed)?;
    let key = person.message.public();
    let message_key =
        record::announce_message_key(&person.device, account, key, now, None).map_err(failed)?;
    Ok(Verb::Register { record, message_key, signature, invite: None })
}

/// What a connection to a Tellal server is made of.
pub type Stream = TlsStream<tokio::net::TcpStream>;

/// A connection to a Tellal server.
pub type Connected = Peer<Stream, Tellal>;

impl Connected {
    /// The next frame.
    async fn frame(&mut self) -> Result<(Push, Bytes), LoadError> {
        loop {
            if let Some(frame) = take(&mut self.inbox)? {
                return Ok(frame);
            }
            if self.stream.read_buf(&mut self.inbox).await? == 0 {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
        }
    }

    /// Takes leave in good order.
    ///
    /// # Errors
    /// When the connection has ended before.
    pub async fn close(mut self) -> Result<(), LoadError> {
        Ok(self.stream.shutdown().await?)
    }
}

fn take(inbox: &mut BytesMut) -> Result<Option<(Push, Bytes)>, LoadError> {
    let answer = |what: String| LoadError::Answer(what);
    let Some(taken) = frame::take(inbox, Limit::FROM_SERVER).map_err(|error| answer(error.to_string()))?
    else {
        return Ok(None);
    };
    let push = minicbor::decode(&taken.head).map_err(|error| answer(error.to_string()))?;
    Ok(Some((push, taken.body)))
}

/// The language of `docs/protocol.md`.
#[derive(Debug, Default)]
pub struct Tellal {
    number: u32,
    epoch: u64,
}

impl Tellal {
    fn put(&mut self, out: &mut BytesMut, verb: Verb, body: &[u8]) {
        self.number = self.number.wrapping_add(1);
        frame::put_encoded(out, &Request { number: self.number, verb }, body);
    }
}

impl Language for Tellal {
    type To = Person;

    fn submit(&mut self, out: &mut BytesMut, to: &Person, body: &[u8]) {
        let verb = Verb::Submit {
            message: MessageId::generate(),
            conversation: to.account().into(),
            recipients: vec![to.mailbox()],
            blobs: Vec::new(),
        };
        self.put(out, verb, body);
    }

    fn subscribe(&mut self, out: &mut BytesMut) {
        self.put(out, Verb::Subscribe { after: None }, &[]);
    }

    fn acknowledge(&mut self, out: &mut BytesMut, up_to: u64) {
        let position = Position { epoch: self.epoch, seq: up_to };
        self.put(out, Verb::Acknowledge { position }, &[]);
    }

    fn hear(&mut self, inbox: &mut BytesMut) -> Result<Option<Heard>, LoadError> {
        let Some((push, body)) = take(inbox)? else { return Ok(None) };
        Ok(Some(match push {
            Push::Reply { answer: Answer::Accepted { .. }, .. } => Heard::Accepted,
            Push::Delivery { position, .. } => {
                self.epoch = position.epoch;
                Heard::Message(body, position.seq)
            }
            Push::Drained { .. } => Heard::End,
            Push::Refusal { code, .. } => return Err(LoadError::Refused(format!("{code:?}"))),
            Push::Goodbye { reason, .. } => return Err(LoadError::Refused(format!("{reason:?}"))),
            _ => Heard::Else,
        }))
    }
}

/// A body of this size that tells when it was made.
pub fn stamped(size: usize, begun: Instant) -> Vec<u8> {
    let mut body = vec![0x5a; size.max(8)];
    let nanos = u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX);
    if let Some(place) = body.first_chunk_mut::<8>() {
        *place = nanos.to_be_bytes();
    }
    body
}

/// How long ago a body was made.
pub fn age(body: &[u8], begun: Instant) -> std::time::Duration {
    let made = body.first_chunk::<8>().map_or(0, |nanos| u64::from_be_bytes(*nanos));
    begun.elapsed().saturating_sub(std::time::Duration::from_nanos(made))
}
