//! One process owns a profile; others that are opened on it ask through its socket.
//!
//! - [`frame`]: JSON and bulk bytes over a Unix socket
//! - [`owner`]: answers guests
//! - [`guest`]: asks the owner
//! - [`roles`]: of some front ends a profile has one at a time

pub(super) mod frame;
pub(super) mod guest;
pub(super) mod owner;
pub(super) mod roles;

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

/// A path to the socket that is short enough for any profile: the kernel takes 108 bytes at most. The folder
/// has to be kept open while it is used.
fn socket_path(home: &Path) -> io::Result<(PathBuf, Option<File>)> {
    let path = home.join("owner.sock");
    if cfg!(target_os = "linux") {
        use std::os::fd::AsRawFd as _;
        let folder = File::open(home)?;
        let short = format!("/proc/self/fd/{}/owner.sock", folder.as_raw_fd());
        return Ok((PathBuf::from(short), Some(folder)));
    }
    Ok((path, None))
}
