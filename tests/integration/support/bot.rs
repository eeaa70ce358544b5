//! The real binary as a child process.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::homeserver::DEADLINE;
use super::redaction::Secrets;

/// What is logged where nothing else is asked for: all that the program itself
/// has to say.
pub const ALL: &str = "debug,openclaw_k8s_toggle_operator=trace";

#[derive(Default)]
struct Log {
    lines: Mutex<(Vec<String>, bool)>,
    more: Condvar,
}

/// One run of the program; killed when dropped, and looked through for secrets.
pub struct Bot {
    child: Victim,
    log: Arc<Log>,
    secrets: Secrets,
}

/// How a run ended, and what it printed.
#[derive(Debug)]
pub struct Done {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

/// Runs the program to its end with these arguments, in an environment of
/// exactly these variables. It must not show a secret.
pub fn run(args: &[&str], env: &BTreeMap<String, String>) -> Done {
    let mut program = Bot::program();
    program.args(args);
    run_as(program, env)
}

/// As [`run`], by this command.
pub fn run_as(program: Command, env: &BTreeMap<String, String>) -> Done {
    let done = run_unchecked(program, env);
    Secrets::of(env).check(&format!("{}{}", done.out, done.err));
    done
}

/// As [`run`], of a run that shows secrets because it is asked to.
pub fn run_showing_secrets(args: &[&str], env: &BTreeMap<String, String>) -> Done {
    let mut program = Bot::program();
    program.args(args);
    run_unchecked(program, env)
}

fn run_unchecked(mut program: Command, env: &BTreeMap<String, String>) -> Done {
    let output = program
        .env_clear()
        .envs(env)
        .stdin(Stdio::null())
        .output()
        .expect("the binary runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Done {
        code: output.status.code(),
        out: text(&output.stdout),
        err: text(&output.stderr),
    }
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
        let secrets = Secrets::of(env);
        let mut slot = victim.lock();
        let (output, input) = std::io::pipe().expect("a pipe can be made");
        let stdout = input.try_clone().expect("a pipe can be shared");
        command.env_clear();
        if !env.contains_key("LOGURU_LEVEL") {
            command.env("RUST_LOG", ALL);
        }
        let child = command
            .envs(env)
            .stdin(Stdio::null())
            .stdout(stdout)
            .stderr(input)
            .spawn()
            .expect("the binary runs");
        // It would keep the pipe open.
        drop(command);
        let log = Arc::new(Log::default());
        let writing = Arc::clone(&log);
        std::thread::spawn(move || {
            let mut reader = BufReader::new(output);
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
            secrets,
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

    /// Its process, for whoever may have to kill it.
    pub fn victim(&self) -> Victim {
        self.child.clone()
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
        if !std::thread::panicking() {
            self.waiter()();
            self.secrets.check(&self.log());
        }
    }
}

impl Log {
    fn lock(&self) -> std::sync::MutexGuard<'_, (Vec<String>, bool)> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
