//! Who else on this machine may read a profile's files, or look into a server's folder: the modes of what holds keys.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// The folders and files of a profile that others than their owner may read: its folder, its keys, who it is.
///
/// # Errors
/// When they can't be looked at.
pub fn open_to_others(home: &Path) -> io::Result<Vec<PathBuf>> {
    let keys = home.join("keys");
    let mut paths = vec![home.to_owned(), keys.clone()];
    paths.extend(["profile.json", "history.key"].map(|name| home.join(name)));
    if keys.exists() {
        for entry in fs::read_dir(&keys)? {
            paths.push(entry?.path());
        }
    }
    let mut open = Vec::new();
    for path in paths {
        match fs::metadata(&path) {
            Ok(metadata) if metadata.permissions().mode() & 0o077 != 0 => open.push(path),
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(open)
}

/// That there are such, in a line that says what to do. Nothing where there is no profile; what can't be looked at is said
/// by whoever opens it.
pub fn warning(home: &Path) -> Option<String> {
    if !home.join("profile.json").exists() {
        return None;
    }
    let open = open_to_others(home).ok()?;
    let (first, more) = open.split_first()?;
    let more = match more.len() {
        0 => String::new(),
        count => format!(" and {count} more of the profile's files"),
    };
    Some(format!("others on this machine may read {}{more}; to do: {}", first.display(), remedy(home)))
}

/// What makes them their owner's alone, as a shell takes it.
pub fn remedy(home: &Path) -> String {
    format!("chmod -R go-rwx '{}'", home.display().to_string().replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_can_read_is_named_with_what_to_do() {
        let home = tempfile::TempDir::new().unwrap();
        let mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        fs::create_dir(home.path().join("keys")).unwrap();
        mode(&home.path().join("keys"), 0o750);
        assert_eq!(warning(home.path()), None, "no profile");
        let (key, profile) = (home.path().join("keys/identity.pem"), home.path().join("profile.json"));
        for file in [&key, &profile] {
            fs::write(file, "").unwrap();
            mode(file, 0o600);
        }
        for path in [&home.path().join("keys"), home.path()] {
            mode(path, 0o700);
        }
        assert_eq!(warning(home.path()), None);
        mode(&key, 0o640);
        let said = warning(home.path()).unwrap();
        let to_do = format!("identity.pem; to do: chmod -R go-rwx '{}'", home.path().display());
        assert!(said.ends_with(&to_do), "{said}");
        mode(home.path(), 0o755);
        assert!(warning(home.path()).unwrap().contains(" and 1 more of the profile's files; to do: "));
        assert_eq!(open_to_others(home.path()).unwrap(), [home.path().to_owned(), key]);
        assert_eq!(remedy(Path::new("/it's")), r"chmod -R go-rwx '/it'\''s'");
    }
}
