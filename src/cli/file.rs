//! Files that a verb writes: readable by their owner alone, and never over another one unasked.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

use anyhow::Result;

use super::failure::Failure;

/// Writes a file whole, or leaves none.
///
/// # Errors
/// When it exists and `force` is not set, or can't be written.
pub fn write(path: &Path, force: bool, content: impl FnOnce(&mut File) -> io::Result<()>) -> Result<()> {
    let shown = path.display();
    if !force {
        let file = create(path).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => {
                Failure::new("file_exists", format!("{shown} exists already: choose another name"))
            }
            _ => failure(path, &error),
        })?;
        return fill(file, path, content).map_err(|error| failure(path, &error).into());
    }
    // The old file stays until the new one is complete.
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.part", std::process::id()));
    let part = path.with_file_name(name);
    create(&part)
        .and_then(|file| fill(file, &part, content))
        .and_then(|()| fs::rename(&part, path))
        .map_err(|error| failure(path, &error).into())
}

fn create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

fn fill(mut file: File, path: &Path, content: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<()> {
    let written = content(&mut file).and_then(|()| file.flush()).and_then(|()| file.sync_all());
    if written.is_err() {
        let _ = fs::remove_file(path);
    }
    written
}

fn failure(path: &Path, error: &io::Error) -> Failure {
    let remedy = "choose another place, where you may write and that has room";
    Failure::new("file", format!("can't write {}: {error}; {remedy}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_private_whole_and_never_overwritten_unasked() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("note.wav");
        write(&path, false, |file| file.write_all(b"one")).unwrap();
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        let error = write(&path, false, |file| file.write_all(b"two")).unwrap_err();
        assert!(error.to_string().ends_with("note.wav exists already: choose another name"));
        assert_eq!(fs::read(&path).unwrap(), b"one");
        write(&path, true, |file| file.write_all(b"two")).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");

        let full = |_: &mut File| Err(io::Error::from(io::ErrorKind::StorageFull));
        write(&path, true, full).unwrap_err();
        write(&folder.path().join("other"), false, full).unwrap_err();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
