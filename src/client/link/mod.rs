//! The connection to the server: TLS to a server that is who it was, frames, requests and their replies.
//!
//! Not here: what is asked and what is done with what comes; that is the engine's.
//!
//! - [`address`]: where a server is
//! - [`backoff`]: when to connect again
//! - [`tls`]: connecting, and who answers
//! - [`wire`]: one task that reads and writes; requests in, replies and pushes out

pub(super) mod address;
pub(super) mod backoff;
pub(crate) mod tls;
pub(super) mod wire;

pub(crate) use address::Address;
pub(super) use wire::{Denied, Pushed, Wire};
