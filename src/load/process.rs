//! What a process has used, as Linux tells in `/proc`.

use std::fs;
use std::time::Duration;

use super::LoadError;

/// Ticks of a second in `/proc/PID/stat`: the same on every Linux (USER_HZ).
const TICKS: u64 = 100;

/// Processor time so far, of the program and of the system for it.
///
/// # Errors
/// When there is no such process here.
pub fn cpu(process: u32) -> Result<Duration, LoadError> {
    let stat =
        fs::read_to_string(format!("/proc/{process}/stat")).map_err(|_| LoadError::Process(process))?;
    // The name in parentheses may hold anything; utime and stime are the 12th and 13th field behind it.
    let fields = stat.rsplit_once(')').map(|(_, rest)| rest.split_whitespace().skip(11).take(2));
    let ticks = fields.map(|fields| fields.filter_map(|field| field.parse::<u64>().ok()).sum::<u64>());
    let ticks = ticks.ok_or(LoadError::Process(process))?;
    Ok(Duration::from_millis(ticks * 1000 / TICKS))
}

/// Bytes of memory that it holds now.
///
/// # Errors
/// When there is no such process here.
pub fn memory(process: u32) -> Result<u64, LoadError> {
    let status =
        fs::read_to_string(format!("/proc/{process}/status")).map_err(|_| LoadError::Process(process))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib: Option<u64> =
        line.and_then(|line| line.split_whitespace().next()).and_then(|kib| kib.parse().ok());
    kib.map(|kib| kib * 1024).ok_or(LoadError::Process(process))
}

#[cfg(test)]
mod tests {
    #[test]
    fn this_process_has_used_something() {
        assert!(super::memory(std::process::id()).unwrap() > 1024 * 1024);
        super::cpu(std::process::id()).unwrap();
        assert!(super::cpu(u32::MAX).is_err());
    }
}
