//! Where it happens: a folder that goes away, processes that are ended whatever happens, and what is printed.

use std::env;
use std::fs;
use std::io::{IsTerminal as _, Write as _, stdout};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use tempfile::TempDir;

/// The stage.
pub struct Stage {
    /// The program, beside this example.
    pub tellal: PathBuf,
    /// What stays when it is over.
    pub kept: PathBuf,
    /// Whether to use the machine's own sound devices where it has some.
    pub own_sound: bool,
    color: bool,
    folder: PathBuf,
    clutter: Arc<Mutex<Clutter>>,
}

/// What has to be cleared away.
struct Clutter {
    folder: Option<TempDir>,
    children: Vec<Child>,
    /// Files in which processes that have detached themselves wrote their ids.
    pid_files: Vec<PathBuf>,
}

impl Stage {
    /// Sets it, and sees to it that an interruption clears it too.
    pub fn set() -> Result<Self> {
        let program = env::current_exe().context("where am I?")?;
        // target/release/examples/two_friends
        let target = program.parent().and_then(Path::parent).context("not in a folder of cargo's")?;
        let tellal = target.join("tellal");
        if !tellal.exists() {
            bail!("{} is missing: build it first (cargo build --release)", tellal.display());
        }
        let kept = target.parent().unwrap_or(target).join("two_friends");
        fs::create_dir_all(&kept)?;
        // Short, since there will be sockets in it.
        let folder = tempfile::Builder::new().prefix("tellal-").tempdir_in("/tmp")?;
        let path = folder.path().to_owned();
        let clutter = Clutter { folder: Some(folder), children: Vec::new(), pid_files: Vec::new() };
        let clutter = Arc::new(Mutex::new(clutter));
        let arguments: Vec<String> = env::args().collect();
        let says = |what: &str| arguments.iter().any(|argument| argument == what);
        let color = says("--color") || (stdout().is_terminal() && env::var_os("NO_COLOR").is_none());
        clear_when_interrupted(Arc::clone(&clutter));
        Ok(Self { tellal, kept, own_sound: !says("--virtual-sound"), color, folder: path, clutter })
    }

    /// A folder for somebody's things.
    pub fn folder(&self, name: &str) -> Result<PathBuf> {
        use std::os::unix::fs::DirBuilderExt as _;
        let folder = self.folder.join(name);
        fs::DirBuilder::new().mode(0o700).create(&folder)?;
        Ok(folder)
    }

    /// A process that is ended with the play. Its number here.
    pub fn keep(&self, child: Child) -> usize {
        let mut clutter = self.clutter.lock().unwrap_or_else(PoisonError::into_inner);
        clutter.children.push(child);
        clutter.children.len() - 1
    }

    /// A process that detaches itself, and writes its id there.
    pub fn keep_daemon(&self, pid_file: PathBuf) {
        self.clutter.lock().unwrap_or_else(PoisonError::into_inner).pid_files.push(pid_file);
    }

    /// Asks a kept process to end, and waits for it. Whether it ended well.
    pub fn end(&self, number: usize) -> bool {
        let mut clutter = self.clutter.lock().unwrap_or_else(PoisonError::into_inner);
        clutter.children.get_mut(number).is_some_and(terminate)
    }

    /// Waits until a kept process has ended by itself. Whether it ended well, and in time.
    pub fn wait(&self, number: usize) -> bool {
        let deadline = Instant::now() + Duration::from_secs(10);
        while Instant::now() < deadline {
            let mut clutter = self.clutter.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(child) = clutter.children.get_mut(number) else { return false };
            if let Ok(Some(status)) = child.try_wait() {
                return status.success();
            }
            drop(clutter);
            std::thread::sleep(Duration::from_millis(20));
        }
        false
    }

    /// Ends every process, the last one first, and removes the folder.
    pub fn clear(&self) {
        clear(&self.clutter);
    }

    /// `--color` for commands whose output is shown.
    pub fn when_color(&self) -> &'static str {
        if self.color { "always" } else { "never" }
    }

    /// What comes next.
    pub fn heading(&self, text: &str) {
        self.print(&format!("\n{}", self.paint("1", text)));
    }

    /// Something beside it.
    pub fn aside(&self, text: &str) {
        self.print(&self.paint("2", text));
    }

    /// A line.
    pub fn print(&self, text: &str) {
        let mut out = stdout().lock();
        // A reader that has gone does not stop the play.
        let _ = writeln!(out, "{}", text.trim_end());
        let _ = out.flush();
    }

    /// Good news.
    pub fn green(&self, text: &str) -> String {
        self.paint("1;32", text)
    }

    /// Bad news.
    pub fn red(&self, text: &str) -> String {
        self.paint("1;31", text)
    }

    /// Text in a style.
    pub fn paint(&self, style: &str, text: &str) -> String {
        if self.color { format!("\x1b[{style}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

fn clear_when_interrupted(clutter: Arc<Mutex<Clutter>>) {
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let Ok(runtime) = runtime else { return };
        let waited = runtime.block_on(async {
            use tokio::signal::unix::{SignalKind, signal};
            let mut terminate = signal(SignalKind::terminate())?;
            tokio::select! {
                interrupted = tokio::signal::ctrl_c() => interrupted,
                _ = terminate.recv() => Ok(()),
            }
        });
        if waited.is_ok() {
            clear(&clutter);
            std::process::exit(130);
        }
    });
}

fn clear(clutter: &Mutex<Clutter>) {
    let mut clutter = clutter.lock().unwrap_or_else(PoisonError::into_inner);
    for file in std::mem::take(&mut clutter.pid_files) {
        let Ok(id) = fs::read_to_string(&file) else { continue };
        // It may have ended by itself.
        let _ = Command::new("kill").arg(id.trim()).output();
    }
    while let Some(mut child) = clutter.children.pop() {
        terminate(&mut child);
    }
    drop(clutter.folder.take());
}

/// SIGTERM, and after a while SIGKILL. Whether it ended well.
fn terminate(child: &mut Child) -> bool {
    if let Ok(Some(status)) = child.try_wait() {
        return status.success();
    }
    let _ = Command::new("kill").arg(child.id().to_string()).output();
    let deadline = Instant::now() + Duration::from_secs(5);
    while Instant::now() < deadline {
        if let Ok(Some(status)) = child.try_wait() {
            return status.success();
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let _ = child.kill();
    let _ = child.wait();
    false
}
