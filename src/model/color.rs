//! A person's colour: chosen at registration and signed into their record, or derived from their account id.

use std::fmt;
use std::str::FromStr;

use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

use super::AccountId;

/// A colour of the palette, by its place in [`Color::PALETTE`].
///
/// A closed palette rather than free RGB: each entry was chosen to be readable on a dark and on a light
/// background, so no person can choose to be invisible.
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
    /// Every colour lies in the band of luminance where the contrast with black and with white is at
    /// least 4.5 : 1 (WCAG 2.2, 1.4.3), which holds for relative luminances from 0.175 to 0.1833.
    pub const PALETTE: [Paint; 12] = [
        paint("red", (0xe9, 0x15, 0x1f), 160, 31),
        paint("green", (0x0e, 0x89, 0x0e), 28, 32),
        paint("blue", (0x28, 0x6f, 0xf0), 33, 34),
        paint("magenta", (0xc1, 0x2f, 0xd1), 164, 35),
        paint("cyan", (0x12, 0x83, 0x83), 30, 36),
        paint("orange", (0xbb, 0x5b, 0x00), 130, 33),
        paint("violet", (0x87, 0x58, 0xe5), 98, 35),
        paint("pink", (0xdd, 0x1f, 0x84), 162, 95),
        paint("olive", (0x79, 0x79, 0x0f), 100, 33),
        paint("teal", (0x1f, 0x85, 0x5c), 29, 92),
        paint("slate", (0x64, 0x78, 0x8d), 66, 94),
        paint("brown", (0x9c, 0x6b, 0x3d), 94, 91),
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
mod tests {
    use super::*;

    fn luminance((r, g, b): (u8, u8, u8)) -> f64 {
        let linear = |value: u8| {
            let value = f64::from(value) / 255.0;
            if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b)
    }

    #[test]
    fn every_colour_reads_on_black_and_on_white() {
        for paint in &Color::PALETTE {
            let light = luminance(paint.rgb);
            let on_black = (light + 0.05) / 0.05;
            let on_white = 1.05 / (light + 0.05);
            assert!(on_black >= 4.5 && on_white >= 4.5, "{}: {on_black:.2} {on_white:.2}", paint.name);
        }
    }
}
