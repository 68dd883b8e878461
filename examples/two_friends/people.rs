//! A friend: a profile and a sound card of their own, a client that stays, and commands beside it.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::client::Client;
use crate::sound::Card;
use crate::stage::Stage;
use crate::succeeded;

/// A friend.
pub struct Friend {
    /// The nickname.
    pub name: String,
    /// The colour that they chose.
    pub color: String,
    /// What the program said when they registered.
    pub registered: String,
    home: PathBuf,
    tellal: PathBuf,
    env: Vec<(String, PathBuf)>,
    client: Option<Client>,
}

impl Friend {
    /// Makes a profile.
    pub fn register(stage: &Stage, card: &Card, server: &str, name: &str, color: &str) -> Result<Self> {
        let home = stage.folder(name)?;
        let (tellal, env) = (stage.tellal.clone(), card.env());
        let (name, color) = (name.to_owned(), color.to_owned());
        let mut friend = Self { name, color, registered: String::new(), home, tellal, env, client: None };
        let arguments = ["register", &friend.name, "--server", server, "--color", &friend.color];
        friend.registered = succeeded(&friend.command(&arguments).output()?, "registering")?;
        Ok(friend)
    }

    /// A command on the profile.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.tellal);
        command.env("TELLAL_HOME", &self.home).env_remove("TELLAL_SERVER");
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command.args(arguments).stdin(Stdio::null());
        command
    }

    /// Runs a command and shows it with what it says.
    pub fn run(&self, stage: &Stage, arguments: &[&str]) -> Result<String> {
        // At the front: behind a `--` it would be text.
        let mut command = self.command(&["--color", stage.when_color()]);
        command.args(arguments);
        let said = succeeded(&command.output()?, &format!("`tellal {}`", arguments.join(" ")))?;
        self.told(stage, arguments, &said);
        Ok(said.trim_end().to_owned())
    }

    /// Shows a command and what it said.
    pub fn told(&self, stage: &Stage, arguments: &[&str], said: &str) {
        let quoted = |word: &&str| {
            let plain = word.chars().all(|c| c.is_alphanumeric() || "-_.:/".contains(c));
            if plain { (*word).to_owned() } else { format!("\"{word}\"") }
        };
        let words: Vec<String> = arguments.iter().filter(|word| **word != "--").map(quoted).collect();
        let prompt = format!("{}$ tellal {}", self.name, words.join(" "));
        stage.print(format!("{}\n{}", stage.paint("2", &prompt), said.trim_end()).trim_end());
    }

    /// Sends a text; its id.
    pub fn send(&self, stage: &Stage, to: &str, text: &str) -> Result<String> {
        self.run(stage, &["send", to, "--", text])
    }

    /// Begins a conversation, in the one client process that stays to the end. Commands beside it go through it.
    pub fn begin(&mut self, stage: &Arc<Stage>, with: &str) -> Result<()> {
        let arguments = ["chat", with];
        let mut command = self.command(&["--color", stage.when_color()]);
        command.args(arguments);
        self.client = Some(Client::start(stage, command, &self.name)?);
        self.told(stage, &arguments, "");
        Ok(())
    }

    /// Types a line in the conversation.
    pub fn says(&mut self, stage: &Stage, line: &str) -> Result<()> {
        let shown = if line.is_empty() { "(Enter)" } else { line };
        stage.print(&format!("{} {shown}", stage.paint("2", &format!("{} >", self.name))));
        self.client()?.type_line(line)
    }

    /// Waits until the conversation shows this.
    pub fn sees(&mut self, text: &str) -> Result<()> {
        let name = self.name.clone();
        self.client()?.wait_for(text).with_context(|| format!("on {name}'s screen"))
    }

    /// Ends the conversation. Whether it ran in one process until now, and ended well.
    pub fn ends(&mut self, stage: &Stage) -> bool {
        self.client.take().is_some_and(|client| client.quit(stage))
    }

    fn client(&mut self) -> Result<&mut Client> {
        self.client.as_mut().context("there is no conversation")
    }

    /// Saves a voice note as a file.
    pub fn save(&self, stage: &Stage, id: &str) -> Result<PathBuf> {
        let file = stage.kept.join(format!("note-of-{}.wav", self.name));
        if file.exists() {
            std::fs::remove_file(&file)?;
        }
        let mut command = self.command(&["play", id, "--save"]);
        succeeded(&command.arg(&file).output()?, "saving the note")?;
        Ok(file)
    }

    /// The fingerprint that registering printed.
    pub fn fingerprint(&self) -> String {
        let words = self.registered.split_whitespace();
        words.into_iter().find(|word| word.starts_with("SHA256:")).unwrap_or_default().to_owned()
    }

    /// The fingerprints in the directory.
    pub fn directory(&self) -> Result<Vec<String>> {
        let users = self.json(&["--json", "users"])?;
        Ok(users.iter().filter_map(|user| Some(user.get("fingerprint")?.as_str()?.to_owned())).collect())
    }

    /// The id of the newest voice note.
    pub fn newest_note(&self) -> Result<String> {
        let messages = self.json(&["--json", "history"])?;
        let note = messages.iter().rfind(|message| message.get("kind").is_some_and(|kind| kind == "voice"));
        let id = note.and_then(|note| note.get("id")?.as_str()).context("there is no voice note")?;
        Ok(id.to_owned())
    }

    /// Ids, senders and texts of all messages.
    pub fn history(&self) -> Result<Vec<(String, String, String)>> {
        let messages = self.json(&["--json", "history"])?;
        let field = |message: &Value, name: &str| {
            message.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        let mut all: Vec<_> = messages
            .iter()
            .map(|message| (field(message, "id"), field(message, "from"), field(message, "text")))
            .collect();
        all.sort();
        Ok(all)
    }

    fn json(&self, arguments: &[&str]) -> Result<Vec<Value>> {
        let said = succeeded(&self.command(arguments).output()?, "asking")?;
        said.lines().map(|line| serde_json::from_str(line).context("not JSON")).collect()
    }
}
