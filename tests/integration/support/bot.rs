//! The real binary as a child process.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::monitor::{DEADLINE, Monitor, poll_within};
use super::redaction::Secrets;

/// The log filter if a test asks for nothing else: all that the program itself has
/// to say.
pub const ALL: &str = "debug,openclaw_k8s_toggle_operator=trace";

#[derive(Default)]
struct Log {
    lines: Vec<String>,
    has_ended: bool,
}

/// One run of the program; killed when dropped, and looked through for secrets.
pub struct Bot {
    child: Victim,
    log: Arc<Monitor<Log>>,
    secrets: Secrets,
}

/// The end of a run, and its output.
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
        let log = Arc::new(Monitor::<Log>::default());
        let writing = Arc::clone(&log);
        std::thread::spawn(move || {
            let mut reader = BufReader::new(output);
            let mut line = Vec::new();
            while reader
                .read_until(b'\n', &mut line)
                .is_ok_and(|read| read > 0)
            {
                let text = String::from_utf8_lossy(&line).trim_end().to_owned();
                writing.with(|log| log.lines.push(text));
                line.clear();
            }
            writing.with(|log| log.has_ended = true);
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
        let found = self.log.wait_within(DEADLINE, |log| {
            let line = log.lines.iter().find(|line| line.contains(fragment));
            match line {
                None if log.has_ended => Some(None),
                line => line.map(|line| Some(line.clone())),
            }
        });
        let ended = found.is_some();
        found
            .flatten()
            .unwrap_or_else(|| panic!("no {fragment:?} in the bot's log (it ended: {ended})"))
    }

    /// Its process, for whoever may have to kill it.
    pub fn victim(&self) -> Victim {
        self.child.clone()
    }

    pub fn log(&self) -> String {
        self.log.lock().lines.join("\n")
    }

    /// Waits, however long it takes, until the process has closed its log: it
    /// has ended.
    pub fn waiter(&self) -> impl FnOnce() + Send + use<> {
        let log = Arc::clone(&self.log);
        move || log.wait_while(|log| !log.has_ended)
    }

    pub fn log_tail(&self) -> String {
        let lines = &self.log.lock().lines;
        lines[lines.len().saturating_sub(80)..].join("\n")
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
        let status = poll_within(within, "the end of the bot", || self.try_wait());
        self.waiter()();
        status
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
