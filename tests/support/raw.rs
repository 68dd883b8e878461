//! A client that speaks the protocol and nothing above it: for what a well-behaved one never sends.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use tellal::crypto::{PrivateKey, Purpose, record, session};
use tellal::model::{
    AccountId, BlobId, DeviceId, KeyId, MessageId, Millis, Nickname, Position, Recipient, ServerId, Wrap,
    to_cbor,
};
use tellal::protocol::frame::{self, Limit};
use tellal::protocol::message::{Answer, Push, RefusalCode, Request, SessionProof, Verb};
use tellal::protocol::{ALPN, EXPORTER_LABEL};
use tellal::server::{self, Limits, Options, tls};
use tellal::store::{Quotas, SqliteStore};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::sync::CancellationToken;

/// A server in this process, over real TLS on a free port.
pub struct Served {
    pub address: SocketAddr,
    pub folder: TempDir,
    stop: CancellationToken,
    running: JoinHandle<()>,
}

impl Served {
    pub async fn start() -> Self {
        Self::start_in(TempDir::new().unwrap(), Options::default()).await
    }

    pub async fn start_with(options: Options) -> Self {
        Self::start_in(TempDir::new().unwrap(), options).await
    }

    /// One that looks often whether there is something to prune: room is soon there again.
    pub async fn start_limited(limits: Limits) -> Self {
        Self::start_with(Self::limited(limits)).await
    }

    /// Its options.
    pub fn limited(limits: Limits) -> Options {
        Options { limits, prune: Duration::from_millis(200), ..Options::default() }
    }

    pub async fn start_in(folder: TempDir, options: Options) -> Self {
        Self::start_holding(folder, options, Quotas::default()).await
    }

    pub async fn start_holding(folder: TempDir, options: Options, quotas: Quotas) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let store = SqliteStore::open_with(folder.path(), quotas).unwrap();
        let identity = tls::from_folder(folder.path()).unwrap();
        let log = server::LogSigner::from_folder(folder.path()).unwrap();
        let stop = CancellationToken::new();
        let serving = server::run(listener, store, identity, log, options, stop.clone());
        let running = tokio::spawn(async move { serving.await.unwrap() });
        Self { address, folder, stop, running }
    }

    /// Stops it in good order and gives its folder back.
    pub async fn stop(self) -> TempDir {
        self.stop.cancel();
        self.running.await.unwrap();
        self.folder
    }

    /// Asks it to stop, without waiting.
    pub fn ask_to_stop(&self) {
        self.stop.cancel();
    }
}

/// Somebody with keys.
pub struct Person {
    pub name: Nickname,
    pub identity: PrivateKey,
    pub device: PrivateKey,
    pub message: PrivateKey,
}

impl Person {
    pub fn new(name: &str) -> Self {
        let [identity, device, message] = std::array::from_fn(|_| PrivateKey::generate(2048).unwrap());
        Self { name: name.parse().unwrap(), identity, device, message }
    }

    pub fn account(&self) -> AccountId {
        self.identity.public().id().into()
    }

    pub fn device(&self) -> DeviceId {
        self.device.public().id().into()
    }

    pub fn key(&self) -> KeyId {
        self.message.public().id()
    }

    /// A mailbox to put something into, with a wrap of the right shape.
    pub fn mailbox(&self) -> Recipient {
        let wrap = Wrap { device: self.device(), key: self.key(), ciphertext: vec![7; 256].into() };
        Recipient { account: self.account(), wraps: vec![wrap] }
    }

    /// What puts an envelope into this person's mailbox.
    pub fn submit(&self, message: MessageId) -> Verb {
        Verb::Submit {
            message,
            conversation: self.account().into(),
            recipients: vec![self.mailbox()],
            blobs: vec![],
        }
    }
}

/// A connection.
pub struct Raw {
    tls: TlsStream<TcpStream>,
    inbox: BytesMut,
    number: u32,
    waiting: VecDeque<(Push, Bytes)>,
    /// Its first frame.
    pub hello: Push,
    pub server: ServerId,
    pub nonce: [u8; 32],
    pub exporter: [u8; 32],
}

impl Raw {
    /// Connects, and reads the server's first frame, which is its greeting.
    pub async fn connect(address: SocketAddr) -> Self {
        Self::try_connect(address).await.expect("a greeting")
    }

    /// Connects, and reads the server's first frame: `Err` when it is no greeting.
    pub async fn try_connect(address: SocketAddr) -> Result<Self, Push> {
        let socket = TcpStream::connect(address).await.unwrap();
        Self::try_on(socket).await.expect("a TLS connection")
    }

    /// The same over a TCP connection that is there already. The outer `Err`: it was closed before the handshake
    /// was done.
    pub async fn try_on(socket: TcpStream) -> io::Result<Result<Self, Push>> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Anybody))
            .with_no_client_auth();
        config.alpn_protocols = vec![ALPN.to_vec()];
        let name = ServerName::try_from("tellal").unwrap();
        let tls = TlsConnector::from(Arc::new(config)).connect(name, socket).await?;
        let exporter = tls.get_ref().1.export_keying_material([0; 32], EXPORTER_LABEL, None).unwrap();
        let mut raw = Self {
            tls,
            inbox: BytesMut::new(),
            number: 0,
            waiting: VecDeque::new(),
            hello: Push::LogGrown { size: 0 },
            server: ServerId::new([0; 32]),
            nonce: [0; 32],
            exporter,
        };
        raw.hello = raw.next().await.expect("the connection ended").0;
        match &raw.hello {
            Push::Hello { server, nonce, .. } => (raw.server, raw.nonce) = (*server, **nonce),
            other => return Ok(Err(other.clone())),
        }
        Ok(Ok(raw))
    }

    /// Connects and registers.
    pub async fn register(address: SocketAddr, person: &Person) -> Self {
        let mut raw = Self::connect(address).await;
        let verb = raw.registration(person);
        assert_eq!(raw.ask(verb, b"").await, Ok(Answer::LoggedIn));
        raw
    }

    /// Connects and logs in.
    pub async fn login(address: SocketAddr, person: &Person) -> Self {
        let mut raw = Self::connect(address).await;
        let verb = raw.login_verb(person);
        assert_eq!(raw.ask(verb, b"").await, Ok(Answer::LoggedIn));
        raw
    }

    /// What registers somebody on this connection.
    pub fn registration(&self, person: &Person) -> Verb {
        let now = Millis::now();
        let record =
            record::register(&person.identity, person.device.public(), person.name.clone(), None, now)
                .unwrap();
        let message_key = record::announce_message_key(
            &person.device,
            person.account(),
            person.message.public(),
            now,
            None,
        )
        .unwrap();
        let signature = session::sign(&person.device, Purpose::Registration, &self.proof(person)).unwrap();
        Verb::Register { record, message_key, signature: signature.into(), invite: None }
    }

    /// What logs somebody in on this connection.
    pub fn login_verb(&self, person: &Person) -> Verb {
        let signature = session::sign(&person.device, Purpose::Login, &self.proof(person)).unwrap();
        Verb::Login { account: person.account(), device: person.device(), signature: signature.into() }
    }

    pub fn proof(&self, person: &Person) -> SessionProof {
        SessionProof {
            server: self.server,
            account: person.account(),
            device: person.device(),
            nonce: self.nonce.into(),
            exporter: self.exporter.into(),
        }
    }

    /// Asks, and waits for the answer; what is pushed in between waits for [`Raw::pushed`].
    pub async fn ask(&mut self, verb: Verb, body: &[u8]) -> Result<Answer, RefusalCode> {
        self.ask_for_body(verb, body).await.map(|(answer, _)| answer)
    }

    pub async fn ask_for_body(&mut self, verb: Verb, body: &[u8]) -> Result<(Answer, Bytes), RefusalCode> {
        let asked = self.send(verb, body).await;
        loop {
            match self.next().await.expect("the connection ended") {
                (Push::Reply { number, answer }, body) if number == asked => return Ok((answer, body)),
                (Push::Refusal { number, code, .. }, _) if number == asked => return Err(code),
                other => self.waiting.push_back(other),
            }
        }
    }

    /// The refusal of a request, and when it may be repeated.
    pub async fn refusal(&mut self, verb: Verb, body: &[u8]) -> (RefusalCode, Option<u32>) {
        let asked = self.send(verb, body).await;
        loop {
            match self.pushed().await.expect("the connection ended").0 {
                Push::Refusal { number, code, retry_after } if number == asked => return (code, retry_after),
                Push::Reply { number, answer } if number == asked => panic!("not refused: {answer:?}"),
                _ => {}
            }
        }
    }

    /// Asks without waiting; the request's number.
    pub async fn send(&mut self, verb: Verb, body: &[u8]) -> u32 {
        self.number += 1;
        let head = to_cbor(&Request { number: self.number, verb });
        let mut frame = BytesMut::new();
        frame::put(&mut frame, &head, body);
        self.send_bytes(&frame).await;
        self.number
    }

    pub async fn send_bytes(&mut self, bytes: &[u8]) {
        // A server that has ended the connection already is seen by who reads.
        let _ = self.tls.write_all(bytes).await;
        let _ = self.tls.flush().await;
    }

    /// What is pushed next, or was while an answer was waited for.
    pub async fn pushed(&mut self) -> Option<(Push, Bytes)> {
        match self.waiting.pop_front() {
            Some(push) => Some(push),
            None => self.next().await,
        }
    }

    /// Reads the mailbox to its end: the bodies and their places.
    pub async fn read_mailbox(&mut self, after: Option<Position>) -> Vec<(Position, Bytes)> {
        let Ok(Answer::Subscribed { .. }) = self.ask(Verb::Subscribe { after }, b"").await else {
            panic!("no subscription")
        };
        let mut entries = Vec::new();
        loop {
            match self.pushed().await.expect("the connection ended") {
                (Push::Delivery { position, .. }, body) => entries.push((position, body)),
                (Push::Drained { .. }, _) => return entries,
                other => panic!("{other:?}"),
            }
        }
    }

    /// The next frame; `None` once the connection has ended.
    pub async fn next(&mut self) -> Option<(Push, Bytes)> {
        loop {
            if let Some(frame) = frame::take(&mut self.inbox, Limit::FROM_SERVER).unwrap() {
                return Some((minicbor::decode(&frame.head).unwrap(), frame.body));
            }
            match self.tls.read_buf(&mut self.inbox).await {
                Ok(0) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }
}

/// A blob id.
pub fn blob(byte: u8) -> BlobId {
    BlobId::new([byte; 32])
}

/// Trusts every certificate: what these tests look at lies above TLS.
#[derive(Debug)]
struct Anybody;

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("TLS 1.2".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = rustls::crypto::aws_lc_rs::default_provider().signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signed, &algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        rustls::crypto::aws_lc_rs::default_provider().signature_verification_algorithms.supported_schemes()
    }
}
