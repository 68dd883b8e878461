//! Tellal: an end-to-end encrypted voice and text messenger whose messages can all be heard.

pub mod crypto;
pub mod model;
pub mod protocol;

#[cfg(feature = "client")]
pub mod audio;
pub mod cli;
#[cfg(feature = "client")]
pub mod client;
#[cfg(feature = "client")]
pub mod terminal;
