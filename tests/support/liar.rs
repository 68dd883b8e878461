//! A server that lies: between the real client and a real server, under that server's own TLS key, it passes on what
//! it likes and says what it likes.
//!
//! Logins and registrations are bound to the TLS connection that they are made on. A server that lies would not look at
//! that; the real one behind this does, so they are signed anew on the way, with the key in the profile's folder.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::future::{Either, select};
use minicbor::bytes::ByteVec;
use tellal::crypto::{PrivateKey, PublicKey, Purpose, session};
use tellal::model::{AccountId, AccountRecord, AccountRecordKind, DeviceId, ServerId, to_cbor};
use tellal::protocol::frame::{self, Limit};
use tellal::protocol::message::{Answer, Push, Request, SessionProof, Verb};
use tellal::server::tls;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::raw::Raw;
use super::support::{Profile, Server};

/// A frame that comes by.
#[derive(Clone, Debug)]
pub enum Passing {
    /// From the client.
    Up(Request, Bytes),
    /// From the server.
    Down(Push, Bytes),
    /// From the other server, of a liar that has two.
    Aside(Push, Bytes),
}

/// One client's connection: what is put here is sent.
pub struct Line {
    /// Who has logged in on it.
    pub who: Option<AccountId>,
    homes: Arc<Vec<PathBuf>>,
    proofs: Vec<(ServerId, [u8; 32], [u8; 32])>,
    flood: Option<(Bytes, Arc<AtomicU64>)>,
    client: BytesMut,
    servers: Vec<BytesMut>,
}

impl Line {
    /// Passes it on, as an honest server would.
    pub fn pass(&mut self, passing: Passing) {
        match passing {
            Passing::Up(request, body) => self.ask(request, &body),
            Passing::Down(push, body) => self.tell(&push, &body),
            Passing::Aside(..) => {}
        }
    }

    /// Says something to the client.
    pub fn tell(&mut self, push: &Push, body: &[u8]) {
        frame::put(&mut self.client, &to_cbor(push), body);
    }

    /// Answers a request of the client's.
    pub fn answer(&mut self, number: u32, answer: Answer) {
        self.tell(&Push::Reply { number, answer }, b"");
    }

    /// Says bytes to the client that need not be a frame.
    pub fn tell_bytes(&mut self, bytes: &[u8]) {
        self.client.extend_from_slice(bytes);
    }

    /// Says this from now on, again and again, and nothing else. Counts how often.
    pub fn flood(&mut self, bytes: impl Into<Bytes>, said: Arc<AtomicU64>) {
        self.flood = Some((bytes.into(), said));
    }

    /// Asks the server, in the client's name.
    pub fn ask(&mut self, request: Request, body: &[u8]) {
        self.ask_one_of_them(0, request, body);
    }

    /// Asks the other server.
    pub fn ask_aside(&mut self, request: Request, body: &[u8]) {
        self.ask_one_of_them(1, request, body);
    }

    /// Asks without signing logins anew.
    pub fn replay(&mut self, request: &Request) {
        frame::put(&mut self.servers[0], &to_cbor(request), b"");
    }

    fn ask_one_of_them(&mut self, which: usize, mut request: Request, body: &[u8]) {
        match &mut request.verb {
            Verb::Login { account, device, signature } => {
                let (account, device) = (*account, *device);
                self.prove(which, Purpose::Login, account, |of| of == device, signature);
            }
            Verb::Register { record, signature, .. } => {
                let record: AccountRecord = minicbor::decode(&record.body).unwrap();
                let AccountRecordKind::Registration { device_key, .. } = &record.kind else {
                    panic!("{record:?}")
                };
                let is_it = |of| of == DeviceId::from(PublicKey::from_spki(device_key).unwrap().id());
                self.prove(which, Purpose::Registration, record.account, is_it, signature);
            }
            _ => {}
        }
        frame::put(&mut self.servers[which], &to_cbor(&request), body);
    }
}

impl Line {
    /// Signs for the connection to this server what was signed for another one.
    fn prove(
        &mut self,
        which: usize,
        purpose: Purpose,
        account: AccountId,
        is_it: impl Fn(DeviceId) -> bool,
        signature: &mut ByteVec,
    ) {
        self.who = Some(account);
        // The file's name is another one after new keys.
        let folders = self.homes.iter().map(|home| std::fs::read_dir(home.join("keys")));
        let files = folders.flat_map(|folder| folder.into_iter().flatten()).map(|file| file.unwrap());
        let is_device = |name: &str| name.starts_with("device") && name.ends_with(".pem");
        let files = files.filter(|file| is_device(file.file_name().to_str().unwrap()));
        let mut keys = files.map(|file| key(&file.path()));
        let Some(key) = keys.find(|key| is_it(key.public().id().into())) else { return };
        let (server, nonce, exporter) = self.proofs[which];
        let proof = SessionProof {
            server,
            account,
            device: key.public().id().into(),
            nonce: nonce.into(),
            exporter: exporter.into(),
        };
        *signature = session::sign(&key, purpose, &proof).unwrap().into();
    }
}

/// The proxy. Ends when dropped.
pub struct Liar {
    /// Where it listens: HOST:PORT, as `--server` takes it.
    pub name: String,
    _running: Runtime,
}

impl Liar {
    /// Stands in front of a server that runs. Whoever is to log in through it is named.
    pub fn start(
        server: &Server,
        people: &[&Profile],
        lie: impl FnMut(Passing, &mut Line) + Send + 'static,
    ) -> Self {
        Self::between(server.data(), vec![server.address], people, lie)
    }

    /// The same with a second server behind it, which holds a copy of the first one's folder.
    pub fn with_two(
        servers: [&Server; 2],
        people: &[&Profile],
        lie: impl FnMut(Passing, &mut Line) + Send + 'static,
    ) -> Self {
        Self::between(servers[0].data(), servers.map(|server| server.address).to_vec(), people, lie)
    }

    fn between(
        data: &Path,
        servers: Vec<SocketAddr>,
        people: &[&Profile],
        lie: impl FnMut(Passing, &mut Line) + Send + 'static,
    ) -> Self {
        let homes: Arc<Vec<PathBuf>> =
            Arc::new(people.iter().map(|profile| profile.home().to_owned()).collect());
        let acceptor = TlsAcceptor::from(tls::from_folder(data).unwrap().config);
        let lie: Lie = Arc::new(Mutex::new(lie));
        let running =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = running.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let name = listener.local_addr().unwrap().to_string();
        running.spawn(async move {
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                let (acceptor, servers) = (acceptor.clone(), servers.clone());
                let (homes, lie) = (homes.clone(), lie.clone());
                tokio::spawn(async move {
                    // A client that does not like what it sees ends the connection: that is its right.
                    if let Ok(client) = acceptor.accept(socket).await {
                        serve(client, servers, homes, lie).await;
                    }
                });
            }
        });
        Self { name, _running: running }
    }
}

/// Reads a private key that has no passphrase.
pub fn key(path: &Path) -> PrivateKey {
    PrivateKey::from_pem(&std::fs::read_to_string(path).unwrap()).unwrap()
}

type Lie = Arc<Mutex<dyn FnMut(Passing, &mut Line) + Send>>;

async fn serve(
    mut client: TlsStream<TcpStream>,
    servers: Vec<SocketAddr>,
    homes: Arc<Vec<PathBuf>>,
    lie: Lie,
) {
    let mut upstream = Vec::new();
    for address in servers {
        upstream.push(Raw::connect(address).await);
    }
    let proofs = upstream.iter().map(|raw| (raw.server, raw.nonce, raw.exporter)).collect();
    let servers = vec![BytesMut::new(); upstream.len()];
    let mut line = Line { who: None, homes, proofs, flood: None, client: BytesMut::new(), servers };
    let mut inbox = BytesMut::new();
    let mut passing = Passing::Down(upstream[0].hello.clone(), Bytes::new());
    loop {
        (lie.lock().unwrap())(passing, &mut line);
        let told = std::mem::take(&mut line.client);
        if client.write_all(&told).await.is_err() || client.flush().await.is_err() {
            return;
        }
        if let Some((flood, said)) = &line.flood {
            // Far more than anybody can use, and yet not all that this machine can do: others test here, too.
            while client.write_all(flood).await.is_ok() {
                said.fetch_add(1, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            return;
        }
        for (server, asked) in upstream.iter_mut().zip(&mut line.servers) {
            server.send_bytes(&std::mem::take(asked)).await;
        }
        let (first, second) = upstream.split_at_mut(1);
        let down = async {
            let Some(second) = second.first_mut() else {
                return first[0].next().await.map(|(push, body)| Passing::Down(push, body));
            };
            match select(pin!(first[0].next()), pin!(second.next())).await {
                Either::Left((push, _)) => push.map(|(push, body)| Passing::Down(push, body)),
                Either::Right((push, _)) => push.map(|(push, body)| Passing::Aside(push, body)),
            }
        };
        let next = tokio::select! {
            up = next_request(&mut client, &mut inbox) => up,
            down = down => down,
        };
        let Some(next) = next else { return };
        passing = next;
    }
}

async fn next_request(client: &mut TlsStream<TcpStream>, inbox: &mut BytesMut) -> Option<Passing> {
    loop {
        if let Some(frame) = frame::take(inbox, Limit::FROM_CLIENT).unwrap() {
            return Some(Passing::Up(minicbor::decode(&frame.head).unwrap(), frame.body));
        }
        match client.read_buf(inbox).await {
            Ok(0) | Err(_) => return None,
            Ok(_) => {}
        }
    }
}
