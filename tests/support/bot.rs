//! The real binary as a child process.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::homeserver::DEADLINE;

#[derive(Default)]
struct Log {
    lines: Mutex<(Vec<String>, bool)>,
    more: Condvar,
}

/// One run of the program; killed when dropped.
pub struct Bot {
    child: Child,
    log: Arc<Log>,
}

impl Bot {
    /// Starts it in an environment of exactly these variables.
    pub fn spawn(env: &BTreeMap<String, String>) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_openclaw-k8s-toggle-operator"))
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
        Self { child, log }
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

    pub fn log_tail(&self) -> String {
        let lines = self.log.lock();
        let from = lines.0.len().saturating_sub(80);
        lines.0[from..].join("\n")
    }

    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// SIGTERM.
    pub fn terminate(&self) {
        self.signal("TERM");
    }

    pub fn signal(&self, name: &str) {
        let status = Command::new("kill")
            .args(["-s", name, &self.child.id().to_string()])
            .status()
            .expect("kill runs");
        assert!(status.success(), "kill -s {name}");
    }

    /// SIGKILL, and waits until it is gone.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Waits for the end of the process.
    pub fn wait_exit(&mut self, within: Duration) -> ExitStatus {
        let until = Instant::now() + within;
        loop {
            if let Some(status) = self.child.try_wait().expect("it is our child") {
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
