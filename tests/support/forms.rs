//! What somebody would look for who suspects that something is hidden where it should not be.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// The forms that bytes might have somewhere: as they are, in hexadecimal, in base64 at any place in it.
pub fn forms(bytes: &[u8]) -> Vec<Vec<u8>> {
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let base64 = (0..3).map(|from| {
        let bytes = &bytes[from..];
        STANDARD.encode(&bytes[..bytes.len() / 3 * 3]).into_bytes()
    });
    let plain = [bytes.to_vec(), hex.to_uppercase().into_bytes(), hex.into_bytes()];
    plain.into_iter().chain(base64).collect()
}

/// The same of a text: also in UTF-16.
pub fn forms_of_text(text: &str) -> Vec<Vec<u8>> {
    let wide = |bytes: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(bytes).collect::<Vec<u8>>();
    [text.as_bytes().to_vec(), wide(u16::to_le_bytes), wide(u16::to_be_bytes)]
        .iter()
        .flat_map(|bytes| forms(bytes))
        .collect()
}

/// Whether one of them is somewhere.
pub fn is_in(form: &[u8], bytes: &[u8]) -> bool {
    bytes.windows(form.len()).any(|window| window == form)
}
