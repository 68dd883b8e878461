#![allow(clippy::unwrap_used, reason = "a test may")]

use std::sync::Arc;

use rustls::NamedGroup;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::server::{self, Options};
use crate::store::SqliteStore;

/// A server on a free port, and how to stop it.
async fn served(folder: &std::path::Path) -> (Address, CancellationToken, tokio::task::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string().parse().unwrap();
    let store = SqliteStore::open(folder).unwrap();
    let identity = server::tls::from_folder(folder).unwrap();
    let log = server::LogSigner::from_folder(folder).unwrap();
    let stop = CancellationToken::new();
    let serving = server::run(listener, store, identity, log, Options::default(), stop.clone());
    (address, stop, tokio::spawn(async move { serving.await.unwrap() }))
}

#[tokio::test]
async fn our_client_and_our_server_agree_on_a_post_quantum_key_exchange() {
    let folder = tempfile::tempdir().unwrap();
    let (address, stop, running) = served(folder.path()).await;
    let secured = connect(&address, None).await.unwrap();
    let (_, connection) = secured.stream.get_ref();
    assert_eq!(connection.protocol_version(), Some(rustls::ProtocolVersion::TLSv1_3));
    let group = connection.negotiated_key_exchange_group().unwrap().name();
    assert_eq!(group, NamedGroup::X25519MLKEM768);
    drop(secured);
    stop.cancel();
    running.await.unwrap();
}

#[tokio::test]
async fn a_client_without_it_is_served_with_an_older_one() {
    let folder = tempfile::tempdir().unwrap();
    let (address, stop, running) = served(folder.path()).await;
    let mut old = aws_lc_rs::default_provider();
    old.kx_groups.retain(|group| group.name() == NamedGroup::X25519);
    let verifier = Arc::new(Verifier {
        provider: Arc::new(old),
        pin: None,
        roots: None,
        must_vouch: false,
        met: Mutex::default(),
    });
    let tcp = TcpStream::connect((address.host.as_str(), address.port)).await.unwrap();
    let connector = TlsConnector::from(Arc::new(config(verifier).unwrap()));
    let stream = connector.connect(name(&address.host), tcp).await.unwrap();
    let group = stream.get_ref().1.negotiated_key_exchange_group().unwrap().name();
    assert_eq!(group, NamedGroup::X25519);
    drop(stream);
    stop.cancel();
    running.await.unwrap();
}
