//! `tellal doctor`: what works, what does not, and what to do about it.
//!
//! - [`sound`]: loudspeaker and microphone

pub mod sound;

/// One thing that was looked at.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Check {
    /// What.
    pub what: &'static str,
    /// Whether it is in order.
    pub ok: bool,
    /// What was found.
    pub said: String,
    /// What to do about it.
    pub remedy: Option<String>,
}
