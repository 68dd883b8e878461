//! Tellal: an end-to-end encrypted voice and text messenger whose messages can all be heard.

pub mod crypto;
pub mod model;
pub mod protocol;
#[cfg(feature = "server")]
pub mod server;
#[cfg(feature = "server")]
pub mod store;
