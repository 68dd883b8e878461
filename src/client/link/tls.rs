//! TLS 1.3 to a server whose key is pinned, as SSH pins host keys.
//!
//! The pin takes the place of the certificate's chain, name and dates; the handshake's signature is always
//! verified, so that whoever answers has the pinned key. At first use, without a pin, the key that is met
//! is trusted and pinned from then on, also where its certificate would have a chain to the system's roots.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, IpAddr, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use sha2::{Digest as _, Sha256};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
pub(crate) use tokio_rustls::client::TlsStream;

use crate::model::KeyId;
use crate::protocol::{ALPN, EXPORTER_LABEL};

use super::super::ClientError;
use super::Address;

/// How long connecting and shaking hands may take, each.
const PATIENCE: Duration = Duration::from_secs(10);

/// A connection, and whose it is.
pub(crate) struct Secured {
    pub stream: TlsStream<TcpStream>,
    /// The SHA-256 of the server's SPKI.
    pub server_key: KeyId,
    /// What logins on this connection are bound to.
    pub exporter: [u8; 32],
}

/// Connects. With a pin, the server has that key or it fails; without one, any key will do.
pub(crate) async fn connect(address: &Address, pin: Option<KeyId>) -> Result<Secured, ClientError> {
    let unreachable = |cause: String| ClientError::Unreachable { server: address.to_string(), cause };
    let target = (address.host.as_str(), address.port);
    let tcp = timeout(PATIENCE, TcpStream::connect(target)).await;
    let tcp = tcp.map_err(|_| unreachable("no answer".to_owned()))?;
    let tcp = tcp.map_err(|error| unreachable(error.to_string()))?;
    tcp.set_nodelay(true).map_err(|error| unreachable(error.to_string()))?;

    let verifier = Arc::new(Pinned::new(pin));
    let config = config(verifier.clone()).map_err(|error| ClientError::Internal(error.to_string()))?;
    let shaken = timeout(PATIENCE, TlsConnector::from(Arc::new(config)).connect(name(address), tcp)).await;
    let shaken = shaken.map_err(|_| unreachable("no answer in TLS".to_owned()))?;
    let met = *verifier.met.lock().unwrap_or_else(PoisonError::into_inner);
    let stream = match (shaken, met, pin) {
        (Err(_), Some(met), Some(pin)) if met != pin => {
            return Err(ClientError::WrongFingerprint {
                server: address.to_string(),
                expected: pin.fingerprint(),
                found: met.fingerprint(),
            });
        }
        (shaken, ..) => shaken.map_err(|error| unreachable(format!("no TLS connection ({error})")))?,
    };
    let (_, connection) = stream.get_ref();
    if connection.alpn_protocol() != Some(ALPN) {
        return Err(unreachable("something else than a tellal server answers there".to_owned()));
    }
    let exporter = connection.export_keying_material([0; 32], EXPORTER_LABEL, None);
    let exporter = exporter.map_err(|error| unreachable(error.to_string()))?;
    let server_key = met.ok_or_else(|| unreachable("it showed no key".to_owned()))?;
    Ok(Secured { stream, server_key, exporter })
}

fn config(verifier: Arc<Pinned>) -> Result<ClientConfig, Error> {
    let provider = verifier.provider.clone();
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    config.alpn_protocols = vec![ALPN.to_vec()];
    // A resumed session would show no certificate, and so no key to compare.
    config.resumption = Resumption::disabled();
    Ok(config)
}

/// What is asked for in the handshake. The pin decides, so a host that is no DNS name is no obstacle.
fn name(address: &Address) -> ServerName<'static> {
    let fallback = ServerName::IpAddress(IpAddr::from(std::net::Ipv4Addr::UNSPECIFIED));
    ServerName::try_from(address.host.clone()).unwrap_or(fallback)
}

/// Accepts one key, or notes the one it meets.
#[derive(Debug)]
struct Pinned {
    provider: Arc<CryptoProvider>,
    pin: Option<KeyId>,
    met: Mutex<Option<KeyId>>,
}

impl Pinned {
    fn new(pin: Option<KeyId>) -> Self {
        Self { provider: Arc::new(aws_lc_rs::default_provider()), pin, met: Mutex::new(None) }
    }
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let spki = ParsedCertificate::try_from(end_entity)?.subject_public_key_info();
        let met = KeyId::new(Sha256::digest(spki.as_ref()).into());
        *self.met.lock().unwrap_or_else(PoisonError::into_inner) = Some(met);
        if self.pin.is_none_or(|pin| pin == met) {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(Error::InvalidCertificate(rustls::CertificateError::ApplicationVerificationFailure))
        }
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("only TLS 1.3 is spoken".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
