//! Where a server is.

use std::fmt;
use std::str::FromStr;

use crate::client::ClientError;

/// The port where none is named.
const PORT: u16 = 6000;

/// A host and a port.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Address {
    /// A name or an IP address, without brackets.
    pub host: String,
    pub port: u16,
}

impl FromStr for Address {
    type Err = ClientError;

    /// Reads HOST or HOST:PORT.
    fn from_str(text: &str) -> Result<Self, ClientError> {
        Self::read(text).ok_or_else(|| ClientError::Unreachable {
            server: text.to_owned(),
            cause: "that is not HOST or HOST:PORT".to_owned(),
        })
    }
}

impl Address {
    fn read(text: &str) -> Option<Self> {
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (host, rest) = rest.split_once(']')?;
                (host, if rest.is_empty() { None } else { Some(rest.strip_prefix(':')?) })
            }
            // More than one colon: an IPv6 address without a port.
            None if text.matches(':').count() > 1 => (text, None),
            None => text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port))),
        };
        let port = port.map_or(Ok(PORT), str::parse).ok()?;
        if host.is_empty() || port == 0 || host.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return None;
        }
        Some(Self { host: host.to_owned(), port })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_shown() {
        for (text, shown) in [
            ("localhost", "localhost:6000"),
            ("example.org:7000", "example.org:7000"),
            ("127.0.0.1", "127.0.0.1:6000"),
            ("::1", "[::1]:6000"),
            ("[::1]", "[::1]:6000"),
            ("[::1]:7", "[::1]:7"),
        ] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), shown);
        }
        for text in ["", ":6000", "host:", "host:x", "host:70000", "host:0", "[::1", "[::1]x", "a b"] {
            assert!(text.parse::<Address>().is_err(), "{text:?}");
        }
    }
}
