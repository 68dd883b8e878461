//! What to install so that a language has a voice, on the platform at hand.

use std::fs;

use crate::speech::Language;

/// Languages that are told apart here and that espeak-ng 1.51 does not list (`espeak-ng --voices`): Yiddish, Javanese,
/// Khmer, Tagalog, Akan, Zulu, Shona.
const MUTE_IN_ESPEAK: [&str; 7] = ["yi", "jv", "km", "tl", "ak", "zu", "sn"];

/// Where packages come from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Platform {
    /// Debian, Ubuntu and their kin.
    Debian,
    /// Fedora and its kin.
    Fedora,
    /// Arch and its kin.
    Arch,
    /// Another system with speech-dispatcher.
    OtherUnix,
    /// macOS.
    MacOs,
    /// Windows.
    Windows,
}

impl Platform {
    /// This machine's.
    pub fn here() -> Self {
        match std::env::consts::OS {
            "macos" => Self::MacOs,
            "windows" => Self::Windows,
            _ => Self::of_release(&fs::read_to_string("/etc/os-release").unwrap_or_default()),
        }
    }

    /// That of a Linux system by its `os-release` (<https://www.freedesktop.org/software/systemd/man/os-release.html>): its
    /// own name first, then what it is like.
    fn of_release(release: &str) -> Self {
        let value = |key: &str| {
            let line = release.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
            line.unwrap_or_default().trim_matches(['"', '\'']).to_owned()
        };
        let names = format!("{} {}", value("ID"), value("ID_LIKE"));
        let known = names.split_whitespace().find_map(|name| match name {
            "debian" | "ubuntu" => Some(Self::Debian),
            "fedora" | "rhel" => Some(Self::Fedora),
            "arch" => Some(Self::Arch),
            _ => None,
        });
        known.unwrap_or(Self::OtherUnix)
    }

    /// What to do to have a voice for a language.
    pub fn voice(self, language: Language) -> String {
        let name = language.name();
        match self {
            Self::MacOs => format!(
                "System Settings, Accessibility, Spoken Content, System Voice, Manage Voices: add {}",
                mac_voice(language)
                    .map_or_else(|| format!("a voice for {name}"), |voice| format!("{voice} ({name})"))
            ),
            Self::Windows => match windows_tag(language) {
                Some(tag) => format!(
                    "as administrator: Add-WindowsCapability -Online -Name Language.TextToSpeech~~~{tag}~0.0.1.0"
                ),
                None => format!("Settings, Time & language, Speech, Add voices: {name}"),
            },
            _ if MUTE_IN_ESPEAK.contains(&language.tag()) => format!(
                "espeak-ng does not speak {name}: install another synthesizer that does, and speech-dispatcher's module for it"
            ),
            _ => format!("{}, which speaks {name}", self.speech()),
        }
    }

    /// What to do to have a speech service at all.
    pub fn speech(self) -> &'static str {
        match self {
            Self::Debian => "sudo apt-get install speech-dispatcher speech-dispatcher-espeak-ng espeak-ng",
            Self::Fedora => "sudo dnf install speech-dispatcher speech-dispatcher-espeak-ng espeak-ng",
            Self::Arch => "sudo pacman -S speech-dispatcher espeak-ng",
            Self::OtherUnix => "install speech-dispatcher and its espeak-ng module",
            Self::MacOs | Self::Windows => "it is part of the system: restart the machine, and try again",
        }
    }
}

/// Apple's voices.
fn mac_voice(language: Language) -> Option<&'static str> {
    Some(match language {
        Language::TURKISH => "Yelda",
        Language::KOREAN => "Yuna",
        Language::CHINESE => "Tingting",
        Language::FRENCH => "Thomas",
        Language::ENGLISH => "Samantha",
        Language::JAPANESE => "Kyoko",
        _ => return None,
    })
}

/// The tags of Windows' voices: a language and its usual region.
fn windows_tag(language: Language) -> Option<&'static str> {
    Some(match language {
        Language::TURKISH => "tr-TR",
        Language::KOREAN => "ko-KR",
        Language::CHINESE => "zh-CN",
        Language::FRENCH => "fr-FR",
        Language::ENGLISH => "en-US",
        Language::JAPANESE => "ja-JP",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_system_is_known_by_its_name_or_by_what_it_is_like() {
        for (release, platform) in [
            ("PRETTY_NAME=\"Debian GNU/Linux 12\"\nID=debian\n", Platform::Debian),
            ("ID=ubuntu\nID_LIKE=debian\n", Platform::Debian),
            ("ID=linuxmint\nID_LIKE=\"ubuntu debian\"\n", Platform::Debian),
            ("ID=fedora\n", Platform::Fedora),
            ("ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\n", Platform::Fedora),
            ("ID=manjaro\nID_LIKE=arch\n", Platform::Arch),
            ("ID=void\n", Platform::OtherUnix),
            ("", Platform::OtherUnix),
        ] {
            assert_eq!(Platform::of_release(release), platform, "{release:?}");
        }
    }

    #[test]
    fn every_common_language_has_a_way_on_every_platform() {
        for language in Language::COMMON {
            let on = |platform: Platform| platform.voice(language);
            for (platform, manager) in
                [(Platform::Debian, "apt-get"), (Platform::Fedora, "dnf"), (Platform::Arch, "pacman")]
            {
                assert!(on(platform).contains(manager) && on(platform).contains("espeak-ng"), "{language}");
            }
            assert!(on(Platform::MacOs).contains(&format!("({})", language.name())), "{language}");
            assert!(on(Platform::Windows).contains("Language.TextToSpeech~~~"), "{language}");
        }
        for tag in MUTE_IN_ESPEAK {
            let mute = Language::from_tag(tag).unwrap();
            let remedy = Platform::Debian.voice(mute);
            assert!(remedy.contains(&format!("espeak-ng does not speak {}", mute.name())), "{remedy}");
        }
        let german = Language::from_tag("de").unwrap();
        assert!(Platform::MacOs.voice(german).ends_with("a voice for German"));
        assert!(Platform::Windows.voice(german).ends_with("German"));
    }
}
