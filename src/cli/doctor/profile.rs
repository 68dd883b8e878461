//! The profile, and who else could read its files.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::Check;
use crate::cli::app::App;
use crate::client::{Client, ClientError, Sealing, sealing};

/// Opens the profile, if there is one.
pub async fn look(app: &App) -> (Vec<Check>, Option<Client>) {
    let files = files(&app.home);
    let client = match app.open().await {
        Ok(client) => client,
        Err(error) => {
            let mut checks = vec![Check::error("profile", &error.to_string()).essential()];
            if !matches!(error.downcast_ref(), Some(ClientError::NotRegistered { .. })) {
                checks.extend([files, passphrase(&app.home)]);
            }
            return (checks, None);
        }
    };
    match client.status().await {
        Ok(status) => {
            let said = format!("{}, in {}", status.nickname, app.home.display());
            (vec![Check::good("profile", said), files, passphrase(&app.home)], Some(client))
        }
        Err(error) => (vec![Check::error("profile", &error.to_string()).essential(), files], Some(client)),
    }
}

/// How the secrets are kept: file modes keep out other users, not whoever has the disk.
fn passphrase(home: &Path) -> Check {
    match sealing(home) {
        Ok(Sealing::Passphrase) => {
            Check::good("passphrase", "keys and history are sealed under a passphrase")
        }
        Ok(Sealing::Keyring(entry)) => {
            let said = "keys and history are sealed under a passphrase that the system's keyring keeps";
            Check::good(
                "passphrase",
                format!("{said} (entry {entry}): they open for whoever is logged in as you"),
            )
        }
        Ok(Sealing::Open) => Check::bad(
            "passphrase",
            "the keys are protected by the modes of their files alone: whoever has this disk can read everything",
            "tellal lock --set, or tellal lock --keyring",
        ),
        Err(error) => Check::error("passphrase", &error.to_string()),
    }
}

/// The modes of folders and files that hold keys: nobody but their owner may read them.
pub fn files(home: &Path) -> Check {
    let what = "files";
    match open_to_others(home) {
        Ok(open) if open.is_empty() => {
            Check::good(what, "the folder and the keys are readable by their owner alone")
        }
        Ok(open) => {
            let names: Vec<String> = open.iter().map(|path| path.display().to_string()).collect();
            let said = format!("others on this machine may read {}", names.join(", "));
            let remedy = format!("chmod -R go-rwx {}", quoted(home));
            Check::bad(what, said, remedy).essential()
        }
        Err(error) => {
            let said = format!("the files in {} can't be looked at ({error})", home.display());
            Check::bad(what, said, "check who owns the folder").essential()
        }
    }
}

fn open_to_others(home: &Path) -> io::Result<Vec<PathBuf>> {
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

/// As a shell takes it.
fn quoted(path: &Path) -> String {
    format!("'{}'", path.display().to_string().replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_others_can_read_are_named_with_what_to_do() {
        let home = tempfile::TempDir::new().unwrap();
        let mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        fs::create_dir(home.path().join("keys")).unwrap();
        mode(home.path(), 0o700);
        mode(&home.path().join("keys"), 0o700);
        let key = home.path().join("keys/identity.pem");
        fs::write(&key, "").unwrap();
        mode(&key, 0o600);
        assert!(files(home.path()).ok);
        mode(&key, 0o640);
        let check = files(home.path());
        assert!(!check.ok && check.essential && check.said.contains("identity.pem"), "{check:?}");
        assert!(check.remedy.unwrap().starts_with("chmod -R go-rwx '"));
        assert_eq!(quoted(Path::new("/it's")), r"'/it'\''s'");
    }
}
