//! Tellal: an end-to-end encrypted voice and text messenger whose messages can all be heard.

#[cfg(feature = "client")]
pub mod audio;
pub mod cli;
#[cfg(feature = "client")]
pub mod client;
pub mod crypto;
#[cfg(feature = "client")]
pub mod load;
pub mod model;
pub mod protocol;
#[cfg(feature = "server")]
pub mod server;
#[cfg(feature = "client")]
pub mod speech;
#[cfg(feature = "server")]
pub mod store;
#[cfg(feature = "client")]
pub mod terminal;
