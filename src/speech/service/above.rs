//! Voices as `tts` itself chooses them, where it does not list thousands to do so.

use tts::Tts;

use crate::speech::voices::Offer;

/// Chooses the voices of a [`Tts`].
pub(super) struct Voices;

impl Voices {
    pub(super) fn open() -> Option<(Tts, Self)> {
        Some((Tts::default().ok()?, Self))
    }

    /// Listing is quick: what was listed before is not asked for.
    pub(super) fn modules(&self) -> Option<Vec<String>> {
        None
    }

    pub(super) fn list(&self, tts: &Tts) -> Option<Vec<Offer>> {
        let offer = |voice: tts::Voice| Offer { name: voice.name(), tag: voice.language().into_inner() };
        Some(tts.voices().ok()?.into_iter().map(offer).collect())
    }

    pub(super) fn take(&self, tts: &mut Tts, _: &str, name: &str) -> Option<()> {
        let voice = tts.voices().ok()?.into_iter().find(|voice| voice.name() == name)?;
        tts.set_voice(&voice).ok()
    }
}
