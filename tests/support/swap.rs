//! A server that lies about a key: its database, changed while it does not run.

use std::path::Path;

use rusqlite::Connection;

use super::people::profile_json;
use super::{Profile, Server};

/// Opens a server's database.
pub fn database(data: &Path) -> Connection {
    Connection::open(data.join("server.db")).unwrap()
}

/// Makes the server say that somebody is an impostor: an account of the same name with keys of its own, who
/// can log in. The true one is gone from the directory. The server is running again when this returns.
pub fn swap(server: &mut Server, name: &str) -> Profile {
    // Somebody else's server is where the impostor's keys come from.
    let elsewhere = Server::start();
    let impostor = Profile::register(&elsewhere, name);
    server.stop();
    let data = elsewhere.data().to_owned();
    let mut elsewhere = elsewhere;
    elsewhere.stop();
    let here = database(server.data());
    here.execute("DELETE FROM account WHERE nickname = ?", [name]).unwrap();
    here.execute("ATTACH ? AS elsewhere", [data.join("server.db").to_str().unwrap()]).unwrap();
    for table in ["account", "account_record", "device", "message_key"] {
        here.execute(&format!("INSERT INTO {table} SELECT * FROM elsewhere.{table}"), []).unwrap();
    }
    here.close().unwrap();
    server.restart_on_same_port();
    follow(&impostor, server);
    impostor
}

/// Makes a profile one of this server's, as far as the profile itself goes.
fn follow(profile: &Profile, server: &Server) {
    let id: [u8; 32] = database(server.data())
        .query_row("SELECT value FROM meta WHERE name = 'server_id'", [], |row| row.get(0))
        .unwrap();
    let mut json = profile_json(profile);
    json["server"] = server.name().into();
    json["server_id"] = id.iter().map(|byte| format!("{byte:02x}")).collect::<String>().into();
    json["server_key"] = key(server).into();
    json.as_object_mut().unwrap().remove("log_certificate");
    std::fs::write(profile.file("profile.json"), json.to_string()).unwrap();
}

/// The server's key, as profiles hold it.
fn key(server: &Server) -> String {
    tellal::model::KeyId::from_fingerprint(&server.fingerprint).unwrap().to_string()
}
