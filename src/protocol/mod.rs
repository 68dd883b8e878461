//! The wire format between a client and its server: frames, and the heads that they carry.
//!
//! Parsing only: nothing here reads or writes a socket, and envelopes are opaque bytes.
//! `docs/protocol.md` is the specification; this is its implementation.
//!
//! - [`frame`]: length prefix, head, body
//! - [`message`]: what a client asks and what a server says
//! - `reason`: why it refuses, and why it ends a connection

pub mod frame;
pub mod message;
mod reason;

/// The one version of the protocol that is spoken.
pub const VERSION: u16 = 1;

/// The ALPN protocol name (RFC 7301).
pub const ALPN: &[u8] = b"tellal/1";

/// The label of the TLS exporter (RFC 8446, section 7.5; RFC 9266) that logins are bound to.
pub const EXPORTER_LABEL: &[u8] = b"EXPORTER-Channel-Binding";
