//! Rooms: founded, joined and left through the library, on profiles of their own.

use std::time::{Duration, Instant};

use tellal::client::{Client, ClientError, Options, Room};
use tellal::model::{Nickname, RoomName};

use super::support::{Profile, Server, TIMEOUT};

/// Does something with somebody's profile, as a process that ends then.
pub fn with<T>(profile: &Profile, work: impl AsyncFnOnce(&Client) -> T) -> T {
    with_options(Options::new(profile.home()), work)
}

/// The same through another server that shows the same key, as `--server` has it.
pub fn with_options<T>(options: Options, work: impl AsyncFnOnce(&Client) -> T) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let client = Client::open(options).await.unwrap();
        let done = tokio::time::timeout(TIMEOUT, work(&client)).await.expect("it takes too long");
        client.close().await;
        done
    })
}

pub fn room(name: &str) -> RoomName {
    name.parse().unwrap()
}

pub fn nick(name: &str) -> Nickname {
    name.parse().unwrap()
}

pub fn create(profile: &Profile, name: &str) -> Room {
    with(profile, async |client| client.create_room(&room(name)).await).unwrap()
}

/// Invites somebody, and waits until the way into the room is at the server.
pub fn invite(profile: &Profile, name: &str, who: &str) -> Room {
    with(profile, async |client| {
        let told = client.invite(&room(name), &nick(who)).await.unwrap();
        let deadline = Instant::now() + TIMEOUT;
        while client.status().await.unwrap().queued > 0 {
            assert!(Instant::now() < deadline, "the invitation does not leave");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        told
    })
}

/// Fetches what there is, and joins.
pub fn join(profile: &Profile, name: &str) -> Result<Room, ClientError> {
    with(profile, async |client| {
        client.drain().await.unwrap();
        client.join_room(&room(name), None, None).await
    })
}

pub fn leave(profile: &Profile, name: &str) -> Result<Room, ClientError> {
    with(profile, async |client| client.leave_room(&room(name), None).await)
}

pub fn remove(profile: &Profile, name: &str, who: &str) -> Result<Room, ClientError> {
    with(profile, async |client| client.remove_from_room(&room(name), &nick(who)).await)
}

/// Who is in a room, as somebody sees it.
pub fn members(room: &Room) -> Vec<&str> {
    room.members.iter().filter(|member| member.joined).map(|member| member.nickname.as_str()).collect()
}

/// A server, and people of whom the first has founded #garden and the others have joined it, each knowing of all.
pub fn garden<const N: usize>(names: [&str; N]) -> (Server, [Profile; N]) {
    garden_at(Server::start(), names)
}

/// The same at a server that runs.
pub fn garden_at<const N: usize>(server: Server, names: [&str; N]) -> (Server, [Profile; N]) {
    let people = names.map(|name| Profile::register(&server, name));
    create(&people[0], "garden");
    for person in &people[1..] {
        invite(&people[0], "garden", &person.name);
        join(person, "garden").unwrap();
    }
    people.iter().for_each(|person| drop(person.receive()));
    (server, people)
}
