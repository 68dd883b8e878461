//! What the transparency log has brought to light, as front ends are told it: alarms, and what proves them to others.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::crypto::{Evidence, TwoLogKeys};
use crate::model::{LogCertificate, Millis, Nickname};

/// Something that the transparency log has brought to light.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Alarm {
    /// What it is.
    pub alarm: AlarmKind,
    /// Whose name it is about, if it is about one.
    pub nickname: Option<Nickname>,
    /// In words: what was found, and what to do.
    pub text: String,
    /// When it was found.
    pub at: Millis,
    /// Whether whoever uses this profile has seen it and went on.
    pub accepted: bool,
}

/// What the transparency log can bring to light.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AlarmKind {
    /// Somebody registered a key in one's own name.
    OwnName,
    /// Somebody who has one's own identity key has changed one's own account.
    OwnAccount,
    /// A name has a second account.
    SecondChain,
    /// A look-up's answer is not in the log.
    NotInLog,
    /// One's own account is not in the log.
    OwnMissing,
    /// The server has signed two logs that contradict each other. There is evidence.
    Forked,
    /// The log is shorter than it was.
    RolledBack,
    /// The server has signed a longer log for somebody else.
    Withheld,
    /// The server's leaves are not what it has signed.
    Contradicts,
    /// The server no longer shows the log whose key is pinned. There may be evidence.
    LogLost,
    /// The server's key has signed for two log keys. There is evidence.
    TwoLogKeys,
}

impl AlarmKind {
    const ALL: [Self; 11] = [
        Self::OwnName,
        Self::OwnAccount,
        Self::SecondChain,
        Self::NotInLog,
        Self::OwnMissing,
        Self::Forked,
        Self::RolledBack,
        Self::Withheld,
        Self::Contradicts,
        Self::LogLost,
        Self::TwoLogKeys,
    ];

    /// The word for it in JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::OwnName => "own_name",
            Self::OwnAccount => "own_account",
            Self::SecondChain => "second_chain",
            Self::NotInLog => "not_in_log",
            Self::OwnMissing => "own_missing",
            Self::Forked => "forked",
            Self::RolledBack => "rolled_back",
            Self::Withheld => "withheld",
            Self::Contradicts => "contradicts",
            Self::LogLost => "log_lost",
            Self::TwoLogKeys => "two_log_keys",
        }
    }

    /// Whether it tells of something that happens, and can happen anew after it was accepted. Others tell of how things
    /// are, such as that the log has a second account of a name, which is found again whenever the log is read anew.
    pub(super) fn recurs(self) -> bool {
        matches!(self, Self::Forked | Self::RolledBack | Self::Withheld | Self::Contradicts | Self::LogLost)
    }

    /// What [`AlarmKind::word`] says. Words of a newer program read as the vaguest kind.
    pub fn from_word(word: &str) -> Self {
        Self::ALL.into_iter().find(|kind| kind.word() == word).unwrap_or(Self::Contradicts)
    }
}

/// How the server's transparency log stands, as far as this profile has verified it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct AuditReport {
    /// The log's public key, as tools for signed notes take it.
    pub log_key: Option<String>,
    /// Whose key that is.
    pub log_certificate: Option<CertificateReport>,
    /// Leaves of the newest verified checkpoint.
    pub size: u64,
    /// Its root hash, in hexadecimal.
    pub root: Option<String>,
    /// The signed checkpoint.
    pub checkpoint: Option<String>,
    /// Whether the whole log was just verified anew, with proofs from the server.
    pub rechecked: bool,
    /// Everything that was found wrong, ever.
    pub alarms: Vec<Alarm>,
    /// Proofs of it that others can check: logs that contradict each other.
    pub evidence: Vec<EvidenceReport>,
    /// Likewise: two log keys of one server.
    pub two_log_keys: Vec<TwoLogKeysReport>,
}

/// What a server's TLS key has signed of its log's key, for whoever is shown it: `tellal log key v1`, a zero byte, the
/// 32 bytes of the server's id, and those of the log's key.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CertificateReport {
    /// The server's id, in hexadecimal.
    pub server: String,
    /// The log's key (Ed25519), in base64.
    pub log_key: String,
    /// Its fingerprint: `SHA256:…` of those bytes.
    pub log_fingerprint: String,
    /// The SPKI of the server's TLS key, in base64.
    pub tls_key: String,
    /// Its fingerprint, as the server prints it.
    pub tls_fingerprint: String,
    /// How that key has signed: a TLS SignatureScheme (RFC 8446, section 4.2.3).
    pub scheme: u16,
    /// Its signature, in base64.
    pub signature: String,
}

impl From<LogCertificate> for CertificateReport {
    fn from(certificate: LogCertificate) -> Self {
        Self {
            server: certificate.server.to_string(),
            log_key: STANDARD.encode(certificate.log_key),
            log_fingerprint: certificate.log_key_id().fingerprint(),
            tls_key: STANDARD.encode(certificate.tls_key.as_slice()),
            tls_fingerprint: certificate.tls_key_id().fingerprint(),
            scheme: certificate.scheme,
            signature: STANDARD.encode(certificate.signature.as_slice()),
        }
    }
}

/// Two certificates by one TLS key for two log keys of one server, for whoever is shown them.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct TwoLogKeysReport {
    /// What this profile was shown first.
    pub one: CertificateReport,
    /// What it, or somebody else, was shown.
    pub other: CertificateReport,
}

impl From<TwoLogKeys> for TwoLogKeysReport {
    fn from(proven: TwoLogKeys) -> Self {
        Self { one: proven.one.into(), other: proven.other.into() }
    }
}

/// Two checkpoints signed by the log's key that contradict each other, for whoever is shown them.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct EvidenceReport {
    /// The signed checkpoint of the smaller log.
    pub smaller: String,
    /// That of the larger one.
    pub larger: String,
    /// What the larger log's first leaves, as many as the smaller has, hash to: in base64, and not the smaller
    /// one's root.
    pub root: String,
    /// The consistency proof from that root to the larger log (RFC 6962, section 2.1.2), in base64.
    pub proof: Vec<String>,
}

impl From<Evidence> for EvidenceReport {
    fn from(evidence: Evidence) -> Self {
        Self {
            root: STANDARD.encode(*evidence.root),
            proof: evidence.proof.iter().map(|hash| STANDARD.encode(**hash)).collect(),
            smaller: evidence.smaller,
            larger: evidence.larger,
        }
    }
}
