//! The command line: one file for each verb, each with its `Args` and its `run`.
//!
//! A contract that scripts rely on: what is asked for goes to stdout, everything said beside it to stderr;
//! exit code 0 is done, 1 failed (one line says what happened and what to do), 2 wrong usage. With `--json`
//! stdout holds one object a line, described in `docs/json.md`.
//!
//! - [`app`]: the global options, and what they make of the world
//! - [`output`]: stdout for people and for programs
//! - [`failure`]: how an error is reported
//! - [`deliver`]: waiting for the server's word on a message, shared by `send` and `voice`
//! - [`hearing`]: what is heard, shared by `receive`, `listen` and `speak`
//! - [`record`]: recording a voice note, with time and level
//! - [`reply`]: recording one while listening
//! - [`passphrase`]: where a passphrase comes from
//! - [`modes`]: who else may read a profile's files
//! - [`stop`]: the signals that ask for the end
//! - [`mod@file`]: new files that never overwrite
//! - the verbs: `register`, `users`, `verify`, `audit`, `block`, `chat`, `room`, `send`, `voice`, `receive`, `listen`, `history`,
//!   `play`, `speak`, `voice-of`, `sounds`, `devices`, `device`, `rekey`, `lock`, `bench`, `doctor`, `server`

#[cfg(feature = "client")]
pub mod app;
#[cfg(feature = "client")]
pub mod audit;
#[cfg(feature = "client")]
pub mod bench;
#[cfg(feature = "client")]
pub mod block;
#[cfg(feature = "client")]
pub mod chat;
#[cfg(feature = "client")]
pub mod deliver;
#[cfg(feature = "client")]
pub mod device;
#[cfg(feature = "client")]
pub mod devices;
#[cfg(feature = "client")]
pub mod doctor;
pub mod failure;
#[cfg(feature = "client")]
pub mod file;
#[cfg(feature = "client")]
pub mod hearing;
#[cfg(feature = "client")]
pub mod history;
#[cfg(test)]
#[cfg(feature = "client")]
mod json_tests;
#[cfg(feature = "client")]
pub mod listen;
#[cfg(feature = "client")]
mod live;
#[cfg(feature = "client")]
pub mod lock;
#[cfg(feature = "client")]
mod meant;
pub mod modes;
#[cfg(feature = "client")]
pub mod output;
#[cfg(feature = "client")]
pub mod passphrase;
#[cfg(feature = "client")]
pub mod play;
#[cfg(feature = "client")]
pub mod receive;
#[cfg(feature = "client")]
pub mod record;
#[cfg(feature = "client")]
pub mod register;
#[cfg(feature = "client")]
pub mod rekey;
#[cfg(feature = "client")]
pub mod reply;
#[cfg(feature = "client")]
pub mod room;
#[cfg(feature = "client")]
pub mod send;
#[cfg(feature = "server")]
pub mod server;
#[cfg(feature = "client")]
pub mod sounds;
#[cfg(feature = "client")]
pub mod speak;
#[cfg(feature = "client")]
pub mod stop;
#[cfg(feature = "client")]
pub mod users;
#[cfg(feature = "client")]
pub mod verify;
#[cfg(feature = "client")]
pub mod voice;
#[cfg(feature = "client")]
pub mod voice_of;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// An end-to-end encrypted voice and text messenger whose messages can all be heard.
#[derive(Debug, Parser)]
#[command(name = "tellal", version, arg_required_else_help = true, max_term_width = 100)]
pub struct Root {
    /// Options that every verb takes.
    #[cfg(feature = "client")]
    #[command(flatten)]
    pub globals: app::Globals,
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// What the program can be asked to do.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Run a server
    #[cfg(feature = "server")]
    Server(server::Args),
    /// What needs a profile.
    #[cfg(feature = "client")]
    #[command(flatten)]
    Client(ClientVerb),
}

/// What the program can be asked to do with a profile.
#[cfg(feature = "client")]
#[derive(Debug, Subcommand)]
pub enum ClientVerb {
    /// Make a profile: keys, and a nickname in the server's directory
    Register(register::Args),
    /// Who there is: nickname, online, fingerprint, verified
    Users(users::Args),
    /// Verify the server's transparency log: who has which key, and whether everybody is shown the same
    Audit(audit::Args),
    /// Compare keys: the safety number with somebody, or mark it as right
    Verify(verify::Args),
    /// Drop what somebody sends from now on; they can't tell
    Block(block::Args),
    /// Take what somebody sends again
    Unblock(block::Args),
    /// Talk, on the terminal
    Chat(chat::Args),
    /// Rooms, conversations of several people: found one, invite, join, leave; who is in it
    Room(room::Args),
    /// Send a text; returns when the server has accepted it, and prints the message's id
    Send(send::Args),
    /// Record a voice note and send it, or send a file
    Voice(voice::Args),
    /// Show what is new
    Receive(receive::Args),
    /// Hands-free: what arrives is shown, played and read aloud, in order
    Listen(listen::Args),
    /// Show what was said before
    History(history::Args),
    /// Play a voice note, or save it as a WAV file
    Play(play::Args),
    /// Read a text aloud
    Speak(speak::Args),
    /// The sounds of what happens: where each is from; plays them
    Sounds(sounds::Args),
    /// The devices of one's own account
    Devices(devices::Args),
    /// Take a device from one's own account
    Device(device::Args),
    /// Make new keys
    Rekey(rekey::Args),
    /// How somebody sounds when they are read aloud, and other voices for them
    VoiceOf(voice_of::Args),
    /// Forget the keys; or set, change or remove the passphrase that they are sealed under
    Lock(lock::Args),
    /// Put load on a server, and measure what it bears
    Bench(bench::Args),
    /// Check what works here, and say what to do about what does not
    Doctor(doctor::Args),
}

/// How long what runs may take to get to a place where it can be left.
const STOPPING: std::time::Duration = std::time::Duration::from_millis(200);

/// How long a profile that was left open may take to close.
#[cfg(feature = "client")]
const CLOSING: std::time::Duration = std::time::Duration::from_secs(3);

/// Runs the program on the process's own arguments.
pub fn main() -> ExitCode {
    let root = Root::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failure::report(&anyhow::anyhow!("can't start threads: {error}"), false),
    };
    let code = runtime.block_on(run(root));
    // What is in the middle of a handshake gets out of it. A thread that reads stdin can't be stopped, and must not hold
    // up the end for long.
    runtime.shutdown_timeout(STOPPING);
    // What failed or was interrupted did not close its profile.
    #[cfg(feature = "client")]
    crate::client::all_closed(CLOSING);
    code
}

async fn run(root: Root) -> ExitCode {
    #[cfg(all(feature = "client", feature = "server"))]
    let (json, verbose) = (root.globals.json, root.globals.verbose);
    #[cfg(all(not(feature = "client"), feature = "server"))]
    let (json, verbose) = (false, 0);
    match root.verb {
        #[cfg(feature = "server")]
        Verb::Server(args) => server::main(args, json, verbose).await,
        #[cfg(feature = "client")]
        Verb::Client(verb) => client(verb, root.globals).await,
    }
}

#[cfg(feature = "client")]
async fn client(verb: ClientVerb, globals: app::Globals) -> ExitCode {
    let json = globals.json;
    let own_color = match (&verb, globals.color) {
        (ClientVerb::Register(_), app::ColorOption::Own(color)) => Some(color),
        (_, app::ColorOption::Own(_)) => {
            let what = "--color takes auto, always or never; only `register` takes a person's colour";
            app::usage(clap::error::ErrorKind::InvalidValue, what).exit();
        }
        _ => None,
    };
    // Following ends when it is told to: that is no failure.
    let follows = match &verb {
        ClientVerb::Receive(args) => args.follow,
        ClientVerb::Listen(args) => args.unread.is_none(),
        _ => false,
    };
    // These have something to finish or to say, once they heed it.
    let heeds = matches!(&verb, ClientVerb::Voice(_) | ClientVerb::Play(_));
    // So has a conversation, unless it is interrupted.
    let chats = matches!(&verb, ClientVerb::Chat(_));
    // Heeded before the verb begins: who is asked for a passphrase may leave at once.
    let mut come = stop::come();
    let asked = async {
        let interrupted = loop {
            let interrupted = come.await;
            come = stop::come();
            let own = heeds || (chats && interrupted != failure::Interrupted::default());
            if !(own && stop::is_taken_over()) {
                break interrupted;
            }
        };
        // A recording is not lost.
        reply::over().await;
        interrupted
    };
    let work = async {
        let app = app::App::new(globals)?;
        // The one makes them its owner's, the other tells of them among what it looks at.
        if !matches!(verb, ClientVerb::Register(_) | ClientVerb::Doctor(_)) {
            app.warn_of_modes();
        }
        match verb {
            ClientVerb::Register(args) => register::run(args, app, own_color).await,
            ClientVerb::Users(args) => users::run(args, app).await,
            ClientVerb::Audit(args) => audit::run(args, app).await,
            ClientVerb::Verify(args) => verify::run(args, app).await,
            ClientVerb::Block(args) => block::run(args, app, true).await,
            ClientVerb::Unblock(args) => block::run(args, app, false).await,
            ClientVerb::Chat(args) => chat::run(args, app).await,
            ClientVerb::Room(args) => room::run(args, app).await,
            ClientVerb::Send(args) => send::run(args, app).await,
            ClientVerb::Voice(args) => voice::run(args, app).await,
            ClientVerb::Receive(args) => receive::run(args, app).await,
            ClientVerb::Listen(args) => listen::run(args, app).await,
            ClientVerb::History(args) => history::run(args, app).await,
            ClientVerb::Play(args) => play::run(args, app).await,
            ClientVerb::Devices(args) => devices::run(args, app).await,
            ClientVerb::Device(args) => device::run(args, app).await,
            ClientVerb::Rekey(args) => rekey::run(args, app).await,
            ClientVerb::Lock(args) => lock::run(args, app).await,
            ClientVerb::Bench(args) => bench::run(args, app).await,
            ClientVerb::Doctor(args) => doctor::run(args, app).await,
            ClientVerb::Sounds(args) => sounds::run(args, app).await,
            ClientVerb::Speak(args) => speak::run(args, app).await,
            ClientVerb::VoiceOf(args) => voice_of::run(args, app).await,
        }
    };
    let code = tokio::select! {
        result = work => match result {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) if follows && error.is::<failure::Interrupted>() => ExitCode::SUCCESS,
            Err(error) => failure::report(&error, json),
        },
        interrupted = asked => ExitCode::from(if follows { 0 } else { interrupted.code }),
    };
    // What was being heard has fallen silent by now.
    crate::terminal::aloud::all_kept().await;
    code
}
