//! Whether the server can be reached, and how far its clock is from this machine's.

use super::Check;
use crate::client::Client;

/// Further apart, messages arrive before they were sent, or long after.
const APART_MS: u64 = 120_000;

/// Connects and logs in; then the clock.
pub async fn look(client: &Client) -> Vec<Check> {
    // Asking for the directory needs a connection, a server that is who it was, and a login.
    let people = match client.users().await {
        Ok(people) => people.len(),
        Err(error) => return vec![Check::error("server", &error.to_string()).essential()],
    };
    let status = match client.status().await {
        Ok(status) => status,
        Err(error) => return vec![Check::error("server", &error.to_string()).essential()],
    };
    let proven = match status.server_fingerprint {
        Some(pin) => format!("the pinned key {pin}"),
        None => "a certificate that this system's roots vouch for".to_owned(),
    };
    let said = format!("{} answers with {proven}; {people} in its directory", status.server);
    let clock = status.clock_ahead_ms.map(clock);
    [Check::good("server", said)].into_iter().chain(clock).collect()
}

fn clock(ahead_ms: i64) -> Check {
    let apart = ahead_ms.unsigned_abs();
    let seconds = |ms: u64| format!("{}.{} s", ms / 1000, ms % 1000 / 100);
    let which = if ahead_ms > 0 { "behind" } else { "ahead of" };
    if apart < 100 {
        Check::good("clock", "as the server's")
    } else if apart < APART_MS {
        Check::good("clock", format!("{} {which} the server's", seconds(apart)))
    } else {
        let said = format!("{} {which} the server's", seconds(apart));
        Check::bad("clock", said, "set this machine's clock (timedatectl set-ntp true), or the server's")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_judged_by_how_far_it_is_off() {
        assert!(clock(-40).ok);
        assert_eq!(clock(1_550).said, "1.5 s behind the server's");
        let fast = clock(-3_600_000);
        assert_eq!((fast.ok, fast.said.as_str()), (false, "3600.0 s ahead of the server's"));
        assert!(!fast.essential);
        assert!(!clock(i64::MIN).ok);
    }
}
