//! RSA keys: 2048 to 4096 bits, e = 65537, nothing else accepted.
//!
//! Two libraries share the work. [`PublicKey`] is crate `rsa`: parsing, encoding, verifying, wrapping.
//! `PrivateKey` generates and encodes with `rsa` and runs what touches the private exponent in `aws-lc-rs`,
//! which is constant-time (RUSTSEC-2023-0071 is about the former) and three times as fast.
//!
//! Not here: which key may do what. Identity, device and message keys are the same type; [`super::record`]
//! and [`super::session`] say who signs what, and [`super::purpose`] keeps their signatures apart.

#[cfg(feature = "client")]
mod private;
mod public;

#[cfg(feature = "client")]
pub use private::PrivateKey;
pub use public::PublicKey;

#[cfg(test)]
#[cfg(feature = "client")]
mod tests;
#[cfg(test)]
#[cfg(feature = "client")]
mod vector_tests;

/// Why bytes are not a key that is accepted here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// Not an RSA key, or not the one DER encoding of it.
    #[error("not an RSA key in its canonical encoding")]
    Encoding,
    /// The modulus has a size outside [`limits::RSA_BITS`](crate::model::limits::RSA_BITS).
    #[error("an RSA key of {0} bits: 2048 to 4096 are accepted")]
    Bits(usize),
    /// The public exponent is not 65537.
    #[error("an RSA key with a public exponent other than 65537")]
    Exponent,
    /// The numbers of a private key don't belong together.
    #[error("an RSA private key that is not consistent")]
    Inconsistent,
}

/// The signature is not that key's over those bytes for that purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the signature does not verify")]
pub struct BadSignature;
