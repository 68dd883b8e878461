//! What `profile.json` holds.

use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::client::ClientError;
use crate::client::link::Address;
use crate::client::link::tls::Trust;
use crate::model::{
    AccountId, Color, DeviceId, KeyId, LogCertificate, Millis, Nickname, ServerId, Signed,
    from_canonical_cbor, to_cbor,
};

/// The one version of `profile.json`.
pub(super) const VERSION: u32 = 1;

/// What `profile.json` holds.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(in crate::client) struct Profile {
    pub(in crate::client) version: u32,
    /// HOST:PORT.
    pub server: String,
    /// The SHA-256 of the server's SPKI as it was met: pinned, unless the roots vouch for the server.
    pub server_key: KeyId,
    /// The system's roots vouch for the server in place of a pin.
    #[serde(default)]
    pub roots: bool,
    /// What the server calls itself: pinned in either case.
    pub server_id: ServerId,
    /// Whose key its transparency log's is: the log's key is pinned once it was shown.
    #[serde(default, with = "certificate")]
    pub log_certificate: Option<LogCertificate>,
    pub nickname: Nickname,
    pub color: Color,
    pub account: AccountId,
    /// The identity key, once another has taken the first one's place.
    #[serde(default)]
    pub identity: Option<KeyId>,
    pub device: DeviceId,
    pub message_key: KeyId,
    pub message_key_from: Millis,
    /// What has been made, but is not known to be published.
    pub pending: Option<Pending>,
    /// Message keys that were replaced, and when: kept for what is still under way.
    #[serde(default)]
    pub replaced: Vec<Replaced>,
    /// Devices that are to be taken from the account, and may be already.
    #[serde(default)]
    pub removing: Vec<DeviceId>,
    /// New keys for everything that the server says it does not accept, and might have taken: kept until others are in
    /// force.
    #[serde(default)]
    pub refused: Vec<Pending>,
}

/// A server as it was met at registration; see [`Profile`].
#[derive(Clone, Debug)]
pub(in crate::client) struct Met {
    pub server_key: KeyId,
    pub roots: bool,
    pub server_id: ServerId,
    pub log_certificate: LogCertificate,
}

/// A message key that another has taken the place of.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(in crate::client) struct Replaced {
    pub key: KeyId,
    pub at: Millis,
    /// How long others may send to it, who have not been shown the new one.
    #[serde(default)]
    pub until: Option<Millis>,
}

/// A record that is to be published, exactly as it will be repeated until the server has answered.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub(in crate::client) enum Pending {
    /// The profile's own registration.
    Registration {
        #[serde(with = "signed")]
        account: Signed,
        #[serde(with = "signed")]
        message_key: Signed,
        bits: usize,
    },
    /// A message key that is to take the present one's place.
    MessageKey {
        #[serde(with = "signed")]
        record: Signed,
        key: KeyId,
        from: Millis,
    },
    /// New keys for everything.
    Rekey {
        #[serde(with = "signed")]
        record: Signed,
        #[serde(with = "signed")]
        message_key: Signed,
        identity: KeyId,
        device: DeviceId,
        key: KeyId,
        from: Millis,
    },
}

impl Profile {
    pub(in crate::client) fn new(
        server: String,
        Met { server_key, roots, server_id, log_certificate }: Met,
        (nickname, color): (Nickname, Color),
        (account, device): (AccountId, DeviceId),
        (message_key, message_key_from): (KeyId, Millis),
        pending: Pending,
    ) -> Self {
        let pending = Some(pending);
        Self {
            version: VERSION,
            server,
            server_key,
            roots,
            server_id,
            log_certificate: Some(log_certificate),
            nickname,
            color,
            account,
            identity: None,
            device,
            message_key,
            message_key_from,
            pending,
            replaced: Vec::new(),
            removing: Vec::new(),
            refused: Vec::new(),
        }
    }

    /// The same profile, whose server was met again elsewhere.
    pub(in crate::client) fn at(self, server: String, met: Met) -> Self {
        let Met { server_key, roots, server_id, log_certificate } = met;
        Self { server, server_key, roots, server_id, log_certificate: Some(log_certificate), ..self }
    }

    /// What the server has to show. The roots vouch for the name it had at registration, wherever it is now.
    pub(in crate::client) fn trust(&self) -> Result<Trust, ClientError> {
        if !self.roots {
            return Ok(Trust::Pinned(self.server_key));
        }
        Ok(Trust::Roots(self.server.parse::<Address>()?.host))
    }

    /// The pinned fingerprint.
    pub(in crate::client) fn server_fingerprint(&self) -> Option<String> {
        (!self.roots).then(|| self.server_key.fingerprint())
    }

    /// The id of the identity key.
    pub(in crate::client) fn identity(&self) -> KeyId {
        self.identity.unwrap_or(self.account.into())
    }

    /// Whether the server has confirmed it.
    pub(in crate::client) fn is_registered(&self) -> bool {
        !matches!(self.pending, Some(Pending::Registration { .. }))
    }
}

/// Signed records as base64 of their CBOR.
mod signed {
    use super::{Deserialize, Deserializer, STANDARD, Serializer, Signed};
    use super::{from_canonical_cbor, to_cbor};
    use base64::Engine as _;
    use serde::de::Error as _;

    pub(super) fn serialize<S: Serializer>(record: &Signed, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(to_cbor(record)))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Signed, D::Error> {
        let bytes = STANDARD.decode(String::deserialize(deserializer)?).map_err(D::Error::custom)?;
        from_canonical_cbor(&bytes).map_err(D::Error::custom)
    }
}

/// The same of a log's certificate, which a profile may not have yet.
mod certificate {
    use super::{Deserialize, Deserializer, LogCertificate, STANDARD, Serializer};
    use super::{from_canonical_cbor, to_cbor};
    use base64::Engine as _;
    use serde::de::Error as _;

    pub(super) fn serialize<S: Serializer>(
        certificate: &Option<LogCertificate>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match certificate {
            Some(certificate) => serializer.serialize_some(&STANDARD.encode(to_cbor(certificate))),
            None => serializer.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<LogCertificate>, D::Error> {
        let Some(text) = Option::<String>::deserialize(deserializer)? else { return Ok(None) };
        let bytes = STANDARD.decode(text).map_err(D::Error::custom)?;
        from_canonical_cbor(&bytes).map(Some).map_err(D::Error::custom)
    }
}
