//! The client core: a task that owns connection, keys and local store, takes [`Command`]s, emits [`Event`]s.
//!
//! Front ends, one-shot commands, the terminal and bots alike, hold a [`Client`] and know nothing below it.
//! One process owns a profile at a time; a [`Client`] opened on a profile that another process owns speaks
//! through that process, and its user can't tell the difference.
//!
//! - [`handle`]: opening a profile, asking, subscribing
//! - [`registration`]: making one
//! - [`command`]: what can be asked, and the replies
//! - [`event`]: what is told unasked
//! - [`message`]: a message as front ends see it
//! - [`error`]: what can go wrong, in words for the person who reads it

pub mod command;
mod db;
mod engine;
pub mod error;
pub mod event;
pub mod handle;
mod link;
mod local;
pub mod message;
mod profile;
pub mod registration;

pub use command::{Command, Contact, MessageRef, Reply, Status};
pub use error::ClientError;
pub use event::Event;
pub use handle::{Client, Events, Options, Role, VoiceNote};
pub use message::{Body, Delivery, Message};
pub use registration::{DEFAULT_KEY_BITS, Registration, register};
