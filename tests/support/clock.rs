//! Another time of day for what a test starts: the real program under libfaketime, which `scripts/setup test` installs.

use std::cell::Cell;
use std::path::PathBuf;

thread_local! {
    static DAYS: Cell<u32> = const { Cell::new(0) };
}

/// From now on, what this test's thread starts finds itself so many days after the true time. What runs already
/// stays where it is.
pub fn move_to_day(days: u32) {
    DAYS.set(days);
}

/// What moves a program's clock. Its measure of how long things take stays true.
pub fn variables() -> Vec<(&'static str, String)> {
    let days = DAYS.get();
    if days == 0 {
        return Vec::new();
    }
    vec![
        ("LD_PRELOAD", library().to_str().unwrap().to_owned()),
        ("FAKETIME", format!("+{days}d")),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
        ("DONT_FAKE_MONOTONIC", "1".to_owned()),
    ]
}

fn library() -> PathBuf {
    let folders = std::fs::read_dir("/usr/lib").unwrap().map(|entry| entry.unwrap().path());
    let mut found =
        folders.map(|folder| folder.join("faketime/libfaketimeMT.so.1")).filter(|path| path.exists());
    found.next().expect("libfaketime is installed: run scripts/setup test")
}
