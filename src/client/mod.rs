//! The client core: connection, keys and local store behind one handle that takes [`Command`]s and emits
//! [`Event`]s.
//!
//! Front ends, one-shot commands, the terminal and bots alike, hold a [`Client`] and know nothing below it.
//! One process owns a profile at a time; a [`Client`] opened on a profile that another process owns speaks
//! through that process, and its user can't tell the difference.
//!
//! ```no_run
//! use tellal::client::{
//!     Body, Client, ClientError, DEFAULT_KEY_BITS, Event, Options, Registration, register,
//! };
//!
//! # async fn example() -> Result<(), ClientError> {
//! # let name = |text: &str| text.parse().map_err(|_| ClientError::NoSuchMessage);
//! // Once: keys, a place in the directory, and the server's key pinned.
//! let me = register(Registration {
//!     home: "/home/ayşe/.tellal".into(),
//!     server: "tellal.example.org".to_owned(),
//!     nickname: name("ayşe")?,
//!     color: None,
//!     key_bits: DEFAULT_KEY_BITS,
//!     fingerprint: None,
//!     invite: None,
//! })
//! .await?;
//! println!("I am {}, {}", me.nickname, me.fingerprint);
//!
//! // From then on; the server need not be reachable.
//! let client = Client::open(Options::new("/home/ayşe/.tellal")).await?;
//! let mut events = client.events();
//!
//! // In the outbox when this returns, at the server when `accepted` does.
//! let message = client.send_text(&name("burak")?, "Merhaba!").await?;
//! client.accepted(message.id).await?;
//!
//! while let Some(event) = events.next().await {
//!     if let Event::Message(message) = event {
//!         if let Body::Text { text } = &message.body {
//!             println!("{}: {text:?}", message.from);
//!         }
//!         client.mark_shown(&[message.number]).await?;
//!     }
//! }
//! client.close().await;
//! # Ok(())
//! # }
//! ```
//!
//! What is promised: a message that was stored in the outbox leaves once, in order, however often process
//! or connection end; a message that came is in the history once and complete before anyone hears of it.
//!
//! What is not here: a screen, a loudspeaker, a microphone. Text is handed on as it came; whoever shows it
//! takes out what a terminal would obey.
//!
//! - [`handle`]: opening a profile, asking, subscribing
//! - [`registration`]: making one
//! - [`command`]: what can be asked, and the replies
//! - [`device`]: the devices of one's own account
//! - [`event`]: what is told unasked
//! - [`live`]: voice notes that are heard while they are spoken
//! - [`message`]: a message as front ends see it
//! - [`settings`]: what a person has set for the profile
//! - [`error`]: what can go wrong, in words for the person who reads it
//! - [`passphrase`]: setting and changing one, and locking
//! - `keyring`: the system's, which can keep a profile's passphrase
//! - `profile`: the folder: who one is, with which keys
//! - `db`: history, outbox, contacts and counters, encrypted
//! - `link`: TLS with a pinned key, frames, requests
//! - `engine`: the core at work
//! - `local`: owner and guests of one profile

pub mod command;
mod db;
pub mod device;
mod engine;
pub mod error;
pub mod event;
pub mod handle;
mod keyring;
pub(crate) mod link;
pub mod live;
mod local;
pub mod message;
pub mod passphrase;
mod profile;
pub mod registration;
pub mod settings;
mod standing;

pub use command::{
    Alarm, AlarmKind, AuditReport, CertificateReport, Command, Contact, EvidenceReport, KeyChange,
    KeyStanding, MessageRef, PersonVoice, Reply, Safety, Status, TwoLogKeysReport,
};
pub use db::all_closed;
pub use device::OwnDevice;
pub use error::ClientError;
pub use event::Event;
pub use handle::{Client, Events, Options, Role, VoiceNote};
pub use keyring::Entry;
pub use live::{Ending, LiveNote, LiveSound};
pub use message::{Body, Delivery, Message};
pub use passphrase::{Resealed, Seal, change_passphrase, lock, sealing};
pub use profile::Sealing;
pub use registration::{DEFAULT_KEY_BITS, Registration, register, registered};
pub use settings::Settings;
