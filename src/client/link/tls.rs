//! TLS 1.3 to a server whose key is pinned, as SSH pins host keys, or whose certificate the system's roots vouch for.
//!
//! A pin takes the place of the certificate's chain, name and dates; the handshake's signature is always verified,
//! so that whoever answers has the key. At first use, without a pin, it is asked whether the roots vouch for the
//! certificate: then they have to from then on, and otherwise the key that is met is pinned. Neither ever takes the
//! other's place.

use std::io::ErrorKind;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, IpAddr, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
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

/// What a server has to show.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Trust {
    /// This key and no other: the SHA-256 of its SPKI.
    Pinned(KeyId),
    /// A certificate for this host that one of the system's roots vouches for, whatever its key.
    Roots(String),
}

/// A connection, and whose it is.
pub(crate) struct Secured {
    pub stream: TlsStream<TcpStream>,
    /// The SHA-256 of the server's SPKI.
    pub server_key: KeyId,
    /// Whether the system's roots vouch for it; of a pinned key that is not asked.
    pub by_roots: bool,
    /// What logins on this connection are bound to.
    pub exporter: [u8; 32],
}

/// Connects. With a trust, the server is what it says or it fails; without one, any key will do.
pub(crate) async fn connect(address: &Address, trust: Option<&Trust>) -> Result<Secured, ClientError> {
    let unreachable = |cause: String| ClientError::Unreachable { server: address.to_string(), cause };
    let internal = |error: &dyn std::fmt::Display| ClientError::Internal(error.to_string());
    let target = (address.host.as_str(), address.port);
    let tcp = timeout(PATIENCE, TcpStream::connect(target)).await;
    let tcp = tcp.map_err(|_| unreachable("no answer".to_owned()))?;
    let lost = |error: std::io::Error| match error.kind() {
        // So ends what was one too many before it had begun.
        ErrorKind::ConnectionReset | ErrorKind::UnexpectedEof => unreachable(format!(
            "it closed the connection unread; it may have had too many from here ({error})"
        )),
        ErrorKind::InvalidData => unreachable(format!("no TLS connection ({error})")),
        _ => unreachable(error.to_string()),
    };
    let tcp = tcp.map_err(lost)?;
    tcp.set_nodelay(true).map_err(lost)?;

    let (pin, host) = match trust {
        Some(Trust::Pinned(pin)) => (Some(*pin), &address.host),
        Some(Trust::Roots(host)) => (None, host),
        None => (None, &address.host),
    };
    let roots = match pin {
        Some(_) => None,
        None => tokio::task::spawn_blocking(system_roots).await.map_err(|error| internal(&error))?,
    };
    let must_vouch = matches!(trust, Some(Trust::Roots(_)));
    let verifier = Arc::new(Verifier { provider: provider(), pin, roots, must_vouch, met: Mutex::default() });
    let config = config(verifier.clone()).map_err(|error| internal(&error))?;
    let shaken = timeout(PATIENCE, TlsConnector::from(Arc::new(config)).connect(name(host), tcp)).await;
    let shaken = shaken.map_err(|_| unreachable("no answer in TLS".to_owned()))?;
    let met = verifier.met.lock().unwrap_or_else(PoisonError::into_inner).take();
    let stream = shaken.map_err(|error| match (&met, pin) {
        (Some(met), Some(pin)) if met.key != pin => ClientError::WrongFingerprint {
            server: address.to_string(),
            expected: pin.fingerprint(),
            found: met.key.fingerprint(),
        },
        (Some(Met { vouched: Err(cause), .. }), None) if must_vouch => {
            ClientError::WrongCertificate { server: host.clone(), cause: cause.clone() }
        }
        _ => lost(error),
    })?;
    let (_, connection) = stream.get_ref();
    if connection.alpn_protocol() != Some(ALPN) {
        return Err(unreachable("something else than a tellal server answers there".to_owned()));
    }
    let exporter = connection.export_keying_material([0; 32], EXPORTER_LABEL, None);
    let exporter = exporter.map_err(|error| unreachable(error.to_string()))?;
    let Met { key: server_key, vouched } = met.ok_or_else(|| unreachable("it showed no key".to_owned()))?;
    Ok(Secured { stream, server_key, by_roots: vouched.is_ok(), exporter })
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

/// The roots that this system trusts; `SSL_CERT_FILE` and `SSL_CERT_DIR` name others. `None` where it has none.
fn system_roots() -> Option<Arc<WebPkiServerVerifier>> {
    let mut roots = RootCertStore::empty();
    // Some stores hold certificates that nobody can parse: the others count.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider()).build().ok()
}

fn config(verifier: Arc<Verifier>) -> Result<ClientConfig, Error> {
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

/// What is asked for in the handshake. A pin is held for any host, also for one that is no DNS name.
fn name(host: &str) -> ServerName<'static> {
    let fallback = ServerName::IpAddress(IpAddr::from(std::net::Ipv4Addr::UNSPECIFIED));
    ServerName::try_from(host.to_owned()).unwrap_or(fallback)
}

/// Judges what a server shows, and notes it.
#[derive(Debug)]
struct Verifier {
    provider: Arc<CryptoProvider>,
    pin: Option<KeyId>,
    roots: Option<Arc<WebPkiServerVerifier>>,
    /// Without a pin: whether the roots have to vouch.
    must_vouch: bool,
    met: Mutex<Option<Met>>,
}

/// What a server has shown.
#[derive(Debug)]
struct Met {
    key: KeyId,
    /// What the roots say to it.
    vouched: Result<(), String>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let spki = ParsedCertificate::try_from(end_entity)?.subject_public_key_info();
        let key = KeyId::new(Sha256::digest(spki.as_ref()).into());
        let vouched = match &self.roots {
            Some(roots) => roots
                .verify_server_cert(end_entity, intermediates, name, ocsp, now)
                .map(drop)
                .map_err(|error| error.to_string()),
            None => Err("this system has no root certificates: install ca-certificates".to_owned()),
        };
        let good = match self.pin {
            Some(pin) => pin == key,
            None => vouched.is_ok() || !self.must_vouch,
        };
        *self.met.lock().unwrap_or_else(PoisonError::into_inner) = Some(Met { key, vouched });
        if good {
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

#[cfg(test)]
#[cfg(feature = "server")]
#[path = "tls_tests.rs"]
mod tests;
