//! The client core: connection, keys and local store behind one handle that takes [`Command`]s and emits
//! [`Event`]s.
//!
//! Front ends, one-shot commands, the terminal and bots alike, hold a [`Client`] and know nothing below it.
//! One process owns a profile at a time; a [`Client`] opened on a profile that another process owns speaks
//! through that process, and its user can't tell the difference.
//!
//! ```
//! use tellal::client::{Body, Client, Event, Options, Registration, register};
//!
//! # #[cfg(not(feature = "server"))]
//! # fn main() {}
//! # #[cfg(feature = "server")]
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # let [ayşe, burak, data] = ["ayşe", "burak", "data"].map(|name| folder.path().join(name));
//! # std::fs::create_dir(&data)?;
//! # let identity = tellal::server::tls::from_folder(&data)?;
//! # let log = tellal::server::LogSigner::from_folder(&data)?;
//! # let store = tellal::store::sqlite::SqliteStore::open(&data)?;
//! # let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
//! # let server = listener.local_addr()?.to_string();
//! # let (stop, options) = (tokio_util::sync::CancellationToken::new(), tellal::server::Options::default());
//! # let running =
//! #     tokio::spawn(tellal::server::run(listener, store, identity, log, options, stop.clone()));
//! // Once for each: keys, a place in the directory, and the server's key pinned. `server` is HOST:PORT.
//! for (home, nickname) in [(&ayşe, "ayşe"), (&burak, "burak")] {
//!     let me = register(Registration {
//!         home: home.clone(),
//!         server: server.clone(),
//!         nickname: nickname.parse()?,
//!         color: None,
//!         key_bits: 2048,
//!         fingerprint: None,
//!         invite: None,
//!     })
//!     .await?;
//!     println!("I am {}, {}", me.nickname, me.fingerprint);
//! }
//!
//! // From then on; the server need not be reachable.
//! let (ayşe, burak) = (Client::open(Options::new(ayşe)).await?, Client::open(Options::new(burak)).await?);
//! let mut events = burak.events();
//!
//! // In the outbox when this returns, at the server when `accepted` does.
//! let message = ayşe.send_text(&"burak".parse()?, "Merhaba!").await?;
//! ayşe.accepted(message.id).await?;
//!
//! while let Some(event) = events.next().await {
//!     if let Event::Message(message) = event {
//!         assert_eq!(message.body, Body::Text { text: "Merhaba!".to_owned() });
//!         burak.mark_shown(&[message.number]).await?;
//!         break;
//!     }
//! }
//! ayşe.close().await;
//! burak.close().await;
//! # stop.cancel();
//! # running.await??;
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
//! - [`handle`]: opening a profile
//! - [`registration`]: making one
//! - [`asking`]: asking it for something
//! - [`subscription`]: being told what happens
//! - [`command`]: what can be asked, and the replies
//! - [`contact`]: people as front ends see them
//! - [`audit`]: what the transparency log has brought to light
//! - [`device`]: the devices of one's own account
//! - [`event`]: what is told unasked
//! - [`live`]: voice notes that are heard while they are spoken
//! - [`message`]: a message as front ends see it
//! - [`room`]: rooms as front ends see them
//! - [`settings`]: what a person has set for the profile
//! - [`error`]: what can go wrong, in words for the person who reads it
//! - [`passphrase`]: setting and changing one, and locking
//! - `keyring`: the system's, which can keep a profile's passphrase
//! - `profile`: the folder: who one is, with which keys
//! - `db`: history, outbox, contacts and counters, encrypted
//! - `link`: TLS with a pinned key, frames, requests
//! - `engine`: the core at work
//! - `standing`: what this process is to a profile, its owner or a guest
//! - `local`: owner and guests of one profile

pub mod asking;
pub mod audit;
pub mod command;
pub mod contact;
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
pub mod room;
pub mod settings;
mod standing;
pub mod subscription;

pub use crate::crypto::Passphrase;
pub use asking::VoiceNote;
pub use audit::{Alarm, AlarmKind, AuditReport, CertificateReport, EvidenceReport, TwoLogKeysReport};
pub use command::{Command, MessageRef, Reply, Status};
pub use contact::{Contact, KeyChange, KeyStanding, PersonVoice, Safety};
pub use db::all_closed;
pub use device::OwnDevice;
pub use error::ClientError;
pub use event::Event;
pub use handle::{Client, Options, Role};
pub use keyring::Entry;
pub use live::{Ending, LiveNote, LiveSound};
pub use message::{Body, Delivery, Message};
pub use passphrase::{Resealed, Seal, change_passphrase, lock, sealing};
pub use profile::Sealing;
pub use registration::{DEFAULT_KEY_BITS, Registration, register, registered};
pub use room::{Room, RoomMember, RoomStanding};
pub use settings::Settings;
pub use subscription::Events;
