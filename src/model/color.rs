//! A person's colour: chosen at registration and signed into their record, or derived from their account id.

use std::fmt;
use std::str::FromStr;

use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

use super::AccountId;

/// A colour of the palette, by its place in [`Color::PALETTE`].
///
/// A closed palette rather than free RGB: each entry was chosen to be readable on a dark and on a light
/// background, so no person can choose to be invisible, and to be told from the others by all who see, however they do.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Encode, Decode, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
#[cbor(transparent)]
pub struct Color(#[n(0)] u8);

/// One palette entry: name, 24-bit value, the xterm 256 index and the 16-colour SGR code that stand for it.
pub struct Paint {
    /// What a person types for it.
    pub name: &'static str,
    /// Red, green, blue.
    pub rgb: (u8, u8, u8),
    /// Index in the xterm 256-colour palette.
    pub xterm: u8,
    /// Foreground code of the 16 ANSI colours.
    pub ansi: u8,
}

/// Text that names no colour of the palette.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown colour {0:?}: choose one of {list}", list = Color::names())]
pub struct UnknownColor(pub String);

const fn paint(name: &'static str, rgb: (u8, u8, u8), xterm: u8, ansi: u8) -> Paint {
    Paint { name, rgb, xterm, ansi }
}

impl Color {
    /// Every colour has a contrast of at least 4.5 : 1 on black and on white (WCAG 2.2, 1.4.3), which holds for relative
    /// luminances from 0.175 to 0.1833. Within that band, any two are at least 6.6 apart (CIEDE2000) to normal vision and
    /// to each of the three kinds of dichromacy; `examples/make_palette.rs` has found them, and tests hold both.
    ///
    /// The 240 fixed colours of a 256-colour terminal don't go that far: 3.8 : 1, and 3.8 apart. What the 16 look like is
    /// the terminal's to say; each stands for one here.
    pub const PALETTE: [Paint; 12] = [
        paint("red", (0xec, 0x00, 0x48), 160, 31),
        paint("green", (0x18, 0x87, 0x00), 65, 32),
        paint("blue", (0x00, 0x6b, 0xfc), 27, 34),
        paint("magenta", (0xcc, 0x00, 0xe0), 128, 35),
        paint("cyan", (0x3c, 0x7c, 0x94), 32, 36),
        paint("orange", (0xd0, 0x44, 0x04), 166, 33),
        paint("violet", (0x68, 0x6f, 0xb4), 97, 94),
        paint("pink", (0xdc, 0x00, 0xa0), 132, 95),
        paint("olive", (0x74, 0x78, 0x40), 100, 93),
        paint("teal", (0x58, 0x7c, 0x70), 30, 92),
        paint("slate", (0x6c, 0x76, 0x80), 242, 96),
        paint("brown", (0x80, 0x73, 0x5c), 95, 91),
    ];

    /// The colour of an account that chose none: the same on every machine.
    pub fn derived(account: &AccountId) -> Self {
        let [first, ..] = *account.as_bytes();
        Self(first % Self::PALETTE.len() as u8)
    }

    /// The palette entry. A number from a newer palette falls back into this one.
    #[allow(clippy::indexing_slicing, reason = "the index is taken modulo the length")]
    pub fn paint(self) -> &'static Paint {
        &Self::PALETTE[usize::from(self.0) % Self::PALETTE.len()]
    }

    /// All names, for help and error texts.
    pub fn names() -> String {
        Self::PALETTE.map(|paint| paint.name).join(", ")
    }
}

impl fmt::Display for Color {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.paint().name)
    }
}

impl FromStr for Color {
    type Err = UnknownColor;

    fn from_str(text: &str) -> Result<Self, UnknownColor> {
        let place = Self::PALETTE.iter().position(|paint| paint.name == text);
        let place = place.and_then(|place| u8::try_from(place).ok());
        place.map(Self).ok_or_else(|| UnknownColor(text.to_owned()))
    }
}

impl From<Color> for String {
    fn from(color: Color) -> Self {
        color.to_string()
    }
}

impl TryFrom<String> for Color {
    type Error = UnknownColor;

    fn try_from(text: String) -> Result<Self, UnknownColor> {
        text.parse()
    }
}

#[cfg(test)]
#[path = "color_tests.rs"]
mod tests;
