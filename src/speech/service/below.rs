//! Voices of speech-dispatcher, without what they cost in `tts`: it lists all 13,000 each time it takes one.
//!
//! speech-dispatcher lets one client set how another one sounds. So `tts` speaks, and a connection beside it sets the
//! language and the voice of `tts`'s, which takes a fraction of a millisecond.

use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use speech_dispatcher::{Connection, Mode};
use tts::Tts;

use crate::speech::voices::Offer;

/// How often to try: another program may connect at the very moment.
const ATTEMPTS: usize = 8;
/// How long a service that another program is starting may take to answer, and how often to look.
const STARTING: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(50);

/// Chooses the voices of a [`Tts`].
pub(super) struct Voices {
    beside: Connection,
    /// The `Tts`, as the service numbers its clients.
    client: u32,
}

impl Voices {
    /// A `Tts`, and what chooses its voices. `None`: there is no service.
    pub(super) fn open() -> Option<(Tts, Self)> {
        start();
        for _ in 0..ATTEMPTS {
            let beside = connect()?;
            let tts = Tts::default().ok()?;
            let after = connect()?;
            // `Tts` does not tell its number. Clients are numbered as they come: it is the one between, where there
            // is only one between.
            if after.client_id() == beside.client_id() + 2 {
                let client = u32::try_from(beside.client_id() + 1).ok()?;
                return Some((tts, Self { beside, client }));
            }
        }
        None
    }

    /// What decides which voices there are.
    pub(super) fn modules(&self) -> Option<Vec<String>> {
        self.beside.list_output_modules().ok()
    }

    /// All voices (SSIP, `LIST SYNTHESIS_VOICES`). Takes half a second with espeak; the library's own way takes two.
    pub(super) fn list(&self, _: &Tts) -> Option<Vec<Offer>> {
        let reply = self.beside.send_data("LIST SYNTHESIS_VOICES\r\n", true)?;
        let offer = |line: &str| {
            let mut fields = line.strip_prefix("249-")?.split('\t');
            Some(Offer { name: fields.next()?.to_owned(), tag: fields.next()?.to_owned() })
        };
        Some(reply.lines().filter_map(offer).collect())
    }

    /// From now on the `Tts` speaks a language, which decides how numbers and emoji are read, in this voice.
    pub(super) fn take(&self, _: &mut Tts, tag: &str, name: &str) -> Option<()> {
        self.beside.set_language_uid(tag, self.client).ok()?;
        self.beside.set_synthesis_voice_uid(name, self.client).ok()
    }
}

/// Starts the service, if it does not run, out of reach of this terminal. Its library would start it as well, but with the
/// synthesizers in this program's process group: they end with the terminal, and the service goes on without a voice.
fn start() {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    let Some(folder) = set("XDG_RUNTIME_DIR").filter(|_| set("SPEECHD_ADDRESS").is_none()) else { return };
    let socket = Path::new(&folder).join("speech-dispatcher/speechd.sock");
    let answers = || UnixStream::connect(&socket).is_ok();
    if answers() {
        return;
    }
    let command = set("SPEECHD_CMD").unwrap_or_else(|| "speech-dispatcher".into());
    let mut command = Command::new(command);
    command.arg("--spawn").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
    // Where there is none to start, there is none to connect to either.
    let Ok(ended) = command.status() else { return };
    // It fails where one is being started already, by a program that may have ended since.
    let until = Instant::now() + STARTING;
    while !ended.success() && !answers() && Instant::now() < until {
        std::thread::sleep(LOOK);
    }
}

fn connect() -> Option<Connection> {
    // Threaded, because it asks for notifications, which the other mode refuses.
    Connection::open("tellal", "voices", "tellal", Mode::Threaded).ok()
}
