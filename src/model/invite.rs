//! Invitations: twenty characters that one person gives to another and that are typed once.

use sha2::{Digest as _, Sha256};

/// Crockford's base 32: no letter that looks like another or like a digit.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// Characters of an invitation: 100 random bits.
const LENGTH: usize = 20;

/// In front of what is hashed, so that no other hash is one of these.
const TAG: &[u8] = b"tellal invitation v1\0";

/// A new invitation, in groups of five: `h4kc2-9w0xv-7m3qe-t6r1z`.
pub fn generate() -> String {
    let random: [u8; LENGTH] = rand::random();
    let mut token = String::with_capacity(LENGTH + 3);
    for (place, byte) in random.into_iter().enumerate() {
        if place > 0 && place % 5 == 0 {
            token.push('-');
        }
        // 256 is a multiple of 32: no character is likelier than another.
        token.push(ALPHABET.get(usize::from(byte % 32)).copied().map_or('0', char::from));
    }
    token
}

/// What a server keeps of it. However it was typed: in any case, with or without hyphens and spaces, with an
/// `o` for a zero, an `i` or `l` for a one.
pub fn hash(typed: &str) -> [u8; 32] {
    let plain: String = typed
        .chars()
        .filter(|character| !character.is_whitespace() && *character != '-')
        .map(|character| match character.to_ascii_lowercase() {
            'o' => '0',
            'i' | 'l' => '1',
            character => character,
        })
        .collect();
    Sha256::new().chain_update(TAG).chain_update(plain.as_bytes()).finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invitation_is_the_same_however_it_is_typed_and_never_drawn_twice() {
        let token = generate();
        assert_eq!(token.len(), LENGTH + 3, "{token}");
        let sloppy =
            format!(" {} ", token.to_uppercase().replace('-', " ").replace('0', "O").replace('1', "l"));
        assert_eq!(hash(&token), hash(&sloppy));
        assert_ne!(hash(&token), hash(&generate()));
    }
}
