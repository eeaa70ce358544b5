//! The real binary as a child process.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::homeserver::DEADLINE;

#[derive(Default)]
struct Log {
    lines: Mutex<(Vec<String>, bool)>,
    more: Condvar,
}

/// One run of the program; killed when dropped.
pub struct Bot {
    child: Victim,
    log: Arc<Log>,
}

/// The process of the newest run, for whoever may have to kill it.
#[derive(Clone, Default)]
pub struct Victim(Arc<Mutex<Option<Child>>>);

impl Victim {
    /// SIGKILL, and waits until it is gone.
    pub fn kill(&self) {
        if let Some(child) = self.lock().as_mut() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Child>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Victim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Victim")
    }
}

impl Bot {
    /// Starts it, or what `BOT_BINARY` names, in an environment of exactly these variables.
    pub fn spawn(env: &BTreeMap<String, String>) -> Self {
        Self::spawn_as(Self::program(), env, &Victim::default())
    }

    pub fn program() -> Command {
        let built = env!("CARGO_BIN_EXE_openclaw-k8s-toggle-operator");
        Command::new(std::env::var_os("BOT_BINARY").unwrap_or(built.into()))
    }

    /// Starts it by this command, as this victim from its first moment on.
    pub fn spawn_as(mut command: Command, env: &BTreeMap<String, String>, victim: &Victim) -> Self {
        let mut slot = victim.lock();
        let mut child = command
            .env_clear()
            .envs(env)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary runs");
        let log = Arc::new(Log::default());
        let writing = Arc::clone(&log);
        let stderr = child.stderr.take().expect("it is piped");
        std::thread::spawn(move || {
            let mut reader = BufReader::new(stderr);
            let mut line = Vec::new();
            while reader
                .read_until(b'\n', &mut line)
                .is_ok_and(|read| read > 0)
            {
                let text = String::from_utf8_lossy(&line).trim_end().to_owned();
                writing.lock().0.push(text);
                writing.more.notify_all();
                line.clear();
            }
            writing.lock().1 = true;
            writing.more.notify_all();
        });
        *slot = Some(child);
        Self {
            child: victim.clone(),
            log,
        }
    }

    /// Waits for a log line that contains the fragment.
    pub fn wait_log(&self, fragment: &str) -> String {
        let until = Instant::now() + DEADLINE;
        let mut lines = self.log.lock();
        loop {
            if let Some(line) = lines.0.iter().find(|line| line.contains(fragment)) {
                return line.clone();
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || lines.1 {
                let ended = lines.1;
                drop(lines);
                panic!("no {fragment:?} in the bot's log (it ended: {ended})");
            }
            lines = self
                .log
                .more
                .wait_timeout(lines, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    pub fn log(&self) -> String {
        self.log.lock().0.join("\n")
    }

    /// Waits, however long it takes, until the process has closed its log: it
    /// has ended.
    pub fn waiter(&self) -> impl FnOnce() + Send + use<> {
        let log = Arc::clone(&self.log);
        move || {
            let mut lines = log.lock();
            while !lines.1 {
                lines = log.more.wait(lines).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }

    pub fn log_tail(&self) -> String {
        let lines = self.log.lock();
        let from = lines.0.len().saturating_sub(80);
        lines.0[from..].join("\n")
    }

    pub fn is_running(&mut self) -> bool {
        self.try_wait().is_none()
    }

    /// SIGTERM.
    pub fn terminate(&self) {
        self.signal("TERM");
    }

    pub fn signal(&self, name: &str) {
        assert!(self.try_signal(name), "kill -s {name}");
    }

    /// False if there is nobody any more to take it.
    pub fn try_signal(&self, name: &str) -> bool {
        let status = Command::new("kill")
            .args(["-s", name, &self.id().to_string()])
            .stderr(Stdio::null())
            .status();
        status.expect("kill runs").success()
    }

    /// SIGKILL, and waits until it is gone.
    pub fn kill(&mut self) {
        self.child.kill();
    }

    pub fn id(&self) -> u32 {
        self.child.lock().as_ref().expect("it was started").id()
    }

    fn try_wait(&self) -> Option<ExitStatus> {
        let mut child = self.child.lock();
        let child = child.as_mut().expect("it was started");
        child.try_wait().expect("it is our child")
    }

    /// Waits for the end of the process and of its log.
    pub fn wait_exit(&mut self, within: Duration) -> ExitStatus {
        let until = Instant::now() + within;
        loop {
            if let Some(status) = self.try_wait() {
                self.waiter()();
                return status;
            }
            assert!(Instant::now() < until, "still running after {within:?}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Bot {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Log {
    fn lock(&self) -> std::sync::MutexGuard<'_, (Vec<String>, bool)> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
