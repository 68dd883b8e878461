//! One sealed message: header, signature and token.
//!
//! ```text
//! body  = header length: u16 || header || signature length: u16 || signature || token     (big-endian)
//! ```
//!
//! - header: deterministic CBOR, readable by its carrier ([`Header`])
//! - signature: RSASSA-PSS by the sender's device key over `tag || 0 || SHA-256(header) || SHA-256(token)`;
//!   the SHA-256 of the same bytes is the envelope's hash
//! - token: a Fernet token of the content ([`Content`]) under a key made for this message alone
//!
//! Beside the body travel the wraps, one for each device that may open it: the Fernet key under RSA-OAEP,
//! the label being `tag || 0 || SHA-256(header)`. The signature does not cover them, so the same body can be
//! wrapped anew when a message key has been replaced.
//!
//! A receiver goes through states, and each is a type: [`parse`] (size, decoding, version) makes a
//! [`Parsed`]; [`Parsed::check`] (addressed to me, certified device, signature) makes a [`Verified`]; then the
//! caller refuses what it has stored before; [`Verified::open`] (unwrap, compare the commitment, open the
//! token) makes an [`Opened`]. Nobody without a directory identity can bring a receiver to decrypt.
//!
//! ```
//! # use std::error::Error;
//! # use tellal::crypto::{MessageSecret, PrivateKey, envelope::*, record};
//! # use tellal::model::{Conversation, MessageId, Millis};
//! # fn main() -> Result<(), Box<dyn Error>> {
//! # let keys = || PrivateKey::generate(2048);
//! # let (now, [ayşe, device, burak, his_device, his_message_key]) =
//! #     (Millis::now(), [keys()?, keys()?, keys()?, keys()?, keys()?]);
//! # let chain = [record::register(&ayşe, device.public(), "ayşe".parse()?, None, now)?];
//! # let ayşe = record::verify_account(&chain)?;
//! # let chain = [record::register(&burak, his_device.public(), "burak".parse()?, None, now)?];
//! # let burak = record::verify_account(&chain)?;
//! # let key = record::announce_message_key(&his_device, burak.id, his_message_key.public(), now, None)?;
//! # let his_key = record::verify_message_key(&burak, &key)?;
//! let draft = Draft {
//!     message: MessageId::generate(),
//!     account: ayşe.id,
//!     recipient: Conversation::Account(burak.id),
//!     counter: Some(0),
//!     previous: Header::NONE_BEFORE,
//!     sent_at: now,
//!     log: None,
//! };
//! let content = Content::Text("Merhaba!".to_owned());
//! let sealed = seal(&device, &draft, &content, MessageSecret::generate())?;
//! let wrap = sealed.wrap_for(&his_key)?;
//!
//! // On the way: sealed.body and wrap. What the server says of them:
//! # let sender = device.public().id().into();
//! let delivered =
//!     Delivered { sender: ayşe.id, device: sender, message: draft.message, conversation: burak.id.into() };
//! let me = Recipient { account: burak.id, device: his_key.device };
//! let verified = parse(&sealed.body)?.check(&delivered, me, &ayşe, None)?;
//! assert_eq!(verified.open(&his_message_key, &wrap)?.content, content);
//! # Ok(())
//! # }
//! ```
//!
//! Not here: replay (only the receiver's store knows what it has seen), counters and gaps, and who may be
//! written to.

mod content;
mod header;
mod live;
mod open;
mod seal;

pub use content::{Content, Invitation, VoiceData, VoiceManifest};
pub use header::Header;
pub use live::{LiveClosing, LiveEnd, LiveManifest, LiveOpening, duration_ms};
pub use open::{CheckError, Delivered, Opened, ParseError, Parsed, Recipient, Verified, parse};
pub use seal::{Draft, SealedEnvelope, seal, wrap};

#[cfg(test)]
mod format_tests;
#[cfg(test)]
mod room_tests;
#[cfg(test)]
mod tamper_tests;
#[cfg(test)]
mod tests;
