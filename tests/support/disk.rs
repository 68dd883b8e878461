//! A disk that takes its time: what a server writes is there for all to read, but not durable until a test says so.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::{TIMEOUT, give_way};

/// What stands between a server and the making durable of its database's write-ahead log.
pub struct Disk {
    folder: TempDir,
}

impl Disk {
    /// Makes it, with the C compiler that building needs anyway. It holds up nothing yet.
    pub fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/disk.c");
        let mut compiler = Command::new("cc");
        compiler.args(["-Wall", "-Werror", "-shared", "-fPIC", source, "-ldl", "-o"]);
        let made = compiler.arg(folder.path().join("disk.so")).status().expect("a C compiler is installed");
        assert!(made.success());
        Self { folder }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// With which a server is started on it.
    pub fn variables(&self) -> [(&'static str, PathBuf); 3] {
        let files = [("LD_PRELOAD", "disk.so"), ("TELLAL_HOLD", "hold"), ("TELLAL_HELD", "held")];
        files.map(|(name, file)| (name, self.file(file)))
    }

    /// From now on nothing becomes durable.
    pub fn hold(&self) {
        std::fs::write(self.file("hold"), "").unwrap();
    }

    /// Waits until something is to become durable, and is held up.
    #[track_caller]
    pub fn wait_until_held(&self) {
        let deadline = Instant::now() + TIMEOUT;
        while !self.file("held").exists() {
            assert!(Instant::now() < deadline, "nothing was to become durable");
            give_way(Instant::now(), Duration::from_millis(5));
        }
    }

    /// Lets everything become durable again.
    pub fn release(&self) {
        std::fs::remove_file(self.file("hold")).unwrap();
        std::fs::remove_file(self.file("held")).unwrap();
    }
}
