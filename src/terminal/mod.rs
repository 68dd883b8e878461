//! Making what others wrote fit to print: without control characters, in their colour, at the reader's own time.
//!
//! Text in, text out; only [`chat`] reads and writes a terminal.
//!
//! - [`sanitize`]: text from others can't move the cursor, change colours, or pass for another line
//! - [`color`]: which colours this terminal shows, and names in them
//! - [`line`]: a message as lines for people
//! - [`chat`]: a conversation, line by line

pub mod chat;
pub mod color;
pub mod line;
pub mod sanitize;

pub use color::{Palette, When};
pub use line::Lines;
