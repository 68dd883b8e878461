//! The profile, and who else could read its files.

use std::path::Path;

use super::Check;
use crate::cli::app::App;
use crate::cli::modes;
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
    match modes::open_to_others(home) {
        Ok(open) if open.is_empty() => {
            Check::good(what, "the folder and the keys are readable by their owner alone")
        }
        Ok(open) => {
            let names: Vec<String> = open.iter().map(|path| path.display().to_string()).collect();
            let said = format!("others on this machine may read {}", names.join(", "));
            Check::bad(what, said, modes::remedy(home)).essential()
        }
        Err(error) => {
            let said = format!("the files in {} can't be looked at ({error})", home.display());
            Check::bad(what, said, "check who owns the folder").essential()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn files_that_others_can_read_are_named_with_what_to_do() {
        let home = tempfile::TempDir::new().unwrap();
        let mode = |mode| fs::set_permissions(home.path(), fs::Permissions::from_mode(mode)).unwrap();
        mode(0o700);
        assert!(files(home.path()).ok);
        mode(0o750);
        let check = files(home.path());
        assert!(!check.ok && check.essential, "{check:?}");
        assert!(check.said.contains(home.path().to_str().unwrap()), "{check:?}");
        assert!(check.remedy.unwrap().starts_with("chmod -R go-rwx '"));
    }
}
