//! `call`: asks a running gateway for something, and waits for it if that is wanted.

use std::io::Write;
use std::path::Path;
use std::pin::pin;
use std::time::Duration;

use http::Method;
use http::header::{CONTENT_TYPE, HeaderValue};
use serde_json::Value;
use tokio::time::{Instant, sleep, timeout};

use super::call_answer::{Step, line, lines, number, step};
use crate::cli::{CallCommand, CallFault, CallFaultKind, CallTask, Error};
use crate::control::TargetName;
use crate::net::{self, Backoff, Bundle, Client, Fault, Limits, Request, Response, Roots};
use crate::util::{BoundedFile, Clock, FileError, Secret, paced, printable};

/// The longest time for a request that is answered at once.
const ANSWERED_WITHIN: Duration = Duration::from_secs(30);

/// The longest time that the gateway is asked to wait in one request, in seconds.
const WAIT_SECONDS: u64 = 50;

/// The time that an answer may come late.
const SLACK: Duration = Duration::from_secs(10);

/// The largest answer, in bytes: 200 targets have less.
const MAX_ANSWER: usize = 256 * 1024;

/// The time between two lines about a call that takes long.
const PROGRESS: Duration = Duration::from_secs(10);

/// The time between the answer that it is not ready and the next question.
const PAUSE: Duration = Duration::from_millis(200);

/// The same where it is ready and more of its pods are to be.
const PAUSE_FOR_MORE: Duration = Duration::from_secs(1);

/// The most pods of a target that the gateway counts.
const MOST_COUNTED: u64 = 64;

/// The largest token, in bytes; most have about 1 KiB.
const MAX_TOKEN: usize = 16 * 1024;

/// The longest path that is shown, in bytes.
const MAX_PATH: usize = 200;

/// The largest file with certificates, in bytes.
const MAX_CA: usize = 1024 * 1024;

/// Does what is asked for, and writes how it is then to `out`, and what happens on the way to
/// `news`.
///
/// # Errors
/// It was not done.
pub(in crate::cli) async fn run(
    command: &CallCommand,
    clock: Clock,
    out: &mut dyn Write,
    news: &mut dyn Write,
) -> Result<(), Error> {
    let done = call(command, clock, news).await;
    let text = match (&done, command.json) {
        (Ok(said), true) => format!("{said}\n"),
        (Ok(said), false) => lines(said),
        (Err(fault), true) => fault.json() + "\n",
        (Err(_), false) => String::new(),
    };
    // Nothing better can be done when standard output is closed.
    let _ = out.write_all(text.as_bytes());
    done.map(|_| ())
        .map_err(|fault| Error::Call(Box::new(fault)))
}

/// Does what is asked for, and returns what the gateway said last.
async fn call(
    command: &CallCommand,
    clock: Clock,
    news: &mut dyn Write,
) -> Result<Value, CallFault> {
    let roots = match &command.ca {
        Some(file) => Roots::Bundle(authorities(file)?),
        None => Roots::Mozilla,
    };
    let unusable =
        |why: net::TlsUnavailable| CallFault::new(CallFaultKind::Unreachable, why.to_string());
    let client = Client::new(roots, clock).map_err(unusable)?;
    let began = Instant::now();
    let mut call = Call {
        command,
        client,
        began,
        news,
        last: None,
        told: String::new(),
    };
    let awaited = match &command.task {
        CallTask::Wait(target) => Some((target, None)),
        CallTask::Start {
            target,
            replicas,
            wait: true,
            ..
        } => Some((target, *replicas)),
        // None are never ready.
        CallTask::Scale {
            target,
            replicas: replicas @ 1..,
            wait: true,
        } => Some((target, Some(*replicas))),
        CallTask::List | CallTask::Status(_) | CallTask::Stop(_) => None,
        CallTask::Start { .. } | CallTask::Scale { .. } => None,
    };
    if !matches!(command.task, CallTask::Wait(_)) {
        let (method, path, body) = asked(&command.task);
        call.ask(&method, &path, &body, ANSWERED_WITHIN).await?;
    }
    match awaited {
        Some((target, replicas)) => call.wait(target, replicas).await,
        None => Ok(call.last.unwrap_or_default()),
    }
}

/// A call under way.
struct Call<'a> {
    command: &'a CallCommand,
    client: Client,
    began: Instant,
    news: &'a mut dyn Write,
    /// The gateway's last answer about the target; None if it has not answered yet.
    last: Option<Value>,
    /// The reason for another try that was told last.
    told: String,
}

impl Call<'_> {
    /// Waits until a target is ready, and so many of its pods are if a number was asked for.
    async fn wait(
        &mut self,
        target: &TargetName,
        replicas: Option<i32>,
    ) -> Result<Value, CallFault> {
        let wanted = replicas.and_then(|replicas| u64::try_from(replicas).ok());
        let wanted = wanted.unwrap_or(0);
        // The answer to a change has the number that is in force now.
        let is_less = |said: &Value| number(said, "replicas").is_some_and(|has| has < wanted);
        if let Some(said) = self.last.take_if(|said| is_less(said)) {
            let sentence = format!("{wanted} replicas are not possible: {}", line(&said));
            return Err(with(CallFaultKind::Failed, sentence, said));
        }
        let most = wanted.min(MOST_COUNTED);
        // Who may not see how a target is learns no number.
        let has_all = |said: &Value| number(said, "ready").is_none_or(|ready| ready >= most);
        let mut news_at = Instant::now() + paced(PROGRESS);
        loop {
            let seconds = self.left().as_secs().min(WAIT_SECONDS);
            let path = format!("/v1/targets/{target}/wait?timeout={seconds}s");
            let within = Duration::from_secs(seconds) + SLACK;
            let is_ready = self.ask(&Method::GET, &path, "", within).await?;
            match self.last.take() {
                Some(said) if is_ready && has_all(&said) => return Ok(said),
                Some(said) if self.left().is_zero() => {
                    let sentence = format!("not in time: {}", line(&said));
                    return Err(with(CallFaultKind::Timeout, sentence, said));
                }
                said => self.last = said,
            }
            let pause = match is_ready {
                true => PAUSE_FOR_MORE,
                // One that answers at once is about to end: soon another one is asked.
                false => PAUSE,
            };
            if Instant::now() >= news_at {
                self.tell_progress();
                news_at = Instant::now() + paced(PROGRESS);
            }
            sleep(paced(pause).min(self.left())).await;
        }
    }

    /// Asks until there is an answer that is no refusal, and keeps it. Returns true if it is
    /// done by that, false if not yet.
    async fn ask(
        &mut self,
        method: &Method,
        path: &str,
        body: &str,
        within: Duration,
    ) -> Result<bool, CallFault> {
        let mut backoff = Backoff::default();
        let mut is_new_token = false;
        loop {
            let request = self.request(method, path, body, within)?;
            let (fault, asked) = match self.send(request).await {
                Ok(answer) => match step(answer.status, answer.retry_after(), &answer.body) {
                    Step::Done(said) => {
                        self.last = Some(said);
                        return Ok(true);
                    }
                    Step::NotYet(said) => {
                        self.last = Some(said);
                        return Ok(false);
                    }
                    // The kubelet may have renewed it between the reading and the check.
                    Step::NewToken(_) if !is_new_token => {
                        is_new_token = true;
                        continue;
                    }
                    Step::NewToken(fault) | Step::Not(fault) => return Err(fault),
                    Step::Again(fault, asked) => (fault, asked),
                },
                Err(error) => {
                    let fault = CallFault::new(CallFaultKind::Unreachable, error.to_string());
                    if !passes(&error.fault) {
                        return Err(fault);
                    }
                    (fault, None)
                }
            };
            let left = self.left();
            if left.is_zero() || asked.is_some_and(|asked| asked > left) {
                return Err(self.late(fault));
            }
            if self.told != fault.sentence {
                let again = "trying again until the time is over";
                let _ = writeln!(self.news, "{}; {again}", fault.sentence);
                self.told.clone_from(&fault.sentence);
            }
            sleep(backoff.fail_eagerly(asked).min(left)).await;
            if self.left().is_zero() {
                return Err(self.late(fault));
            }
        }
    }

    /// A request with the token as it is now.
    fn request(
        &self,
        method: &Method,
        path: &str,
        body: &str,
        within: Duration,
    ) -> Result<Request, CallFault> {
        let usage = |why: String| CallFault::new(CallFaultKind::Usage, why);
        let token = token(&self.command.token_file)?;
        let limits = Limits {
            deadline: within.min(self.left() + Duration::from_secs(1)),
            body: MAX_ANSWER,
        };
        let url = [self.command.url.as_str().trim_end_matches('/'), path].concat();
        let request = Request::new(method.clone(), &url, body.into(), limits);
        let request = request.map_err(|why| usage(why.to_string()))?;
        let request = request
            .bearer(&token)
            .map_err(|why| usage(why.to_string()))?;
        Ok(match body.is_empty() {
            true => request,
            false => request.header(CONTENT_TYPE, HeaderValue::from_static("application/json")),
        })
    }

    /// Sends a request, and tells from time to time that its answer is being waited for.
    async fn send(&mut self, request: Request) -> Result<Response, net::Error> {
        let client = self.client.clone();
        let mut answer = pin!(client.send(request));
        loop {
            match timeout(paced(PROGRESS), answer.as_mut()).await {
                Ok(answer) => return answer,
                Err(_) => self.tell_progress(),
            }
        }
    }

    /// Tells how it is, and for how long it has been waited.
    fn tell_progress(&mut self) {
        let seconds = self.began.elapsed().as_secs();
        let seen = self.last.as_ref().map(line);
        let seen = seen.as_deref().unwrap_or("no answer yet");
        let _ = writeln!(self.news, "{seen} ({seconds} s)");
    }

    /// The time that is left.
    fn left(&self) -> Duration {
        self.command.timeout.saturating_sub(self.began.elapsed())
    }

    /// The obstacle when the time was over.
    fn late(&self, fault: CallFault) -> CallFault {
        let kind = match self.last {
            Some(_) => CallFaultKind::Timeout,
            None => fault.kind,
        };
        CallFault { kind, ..fault }
    }
}

/// True if what is in the way may pass: the gateway starts, or is replaced. A certificate
/// that is not believed, or something that speaks no HTTP, is there to stay.
const fn passes(fault: &Fault) -> bool {
    !matches!(
        fault,
        Fault::Tls(_) | Fault::TooLarge { .. } | Fault::NotHttp
    )
}

/// The method, the path and the body that ask for this.
fn asked(task: &CallTask) -> (Method, String, String) {
    let of = |target: &TargetName, end: &str| ["/v1/targets/", target.as_str(), end].concat();
    match task {
        CallTask::List => (Method::GET, "/v1/targets".to_owned(), String::new()),
        CallTask::Status(target) | CallTask::Wait(target) => {
            (Method::GET, of(target, ""), String::new())
        }
        CallTask::Stop(target) => (Method::POST, of(target, "/stop"), String::new()),
        CallTask::Start {
            target,
            replicas,
            run_for,
            ..
        } => {
            let replicas = replicas.map(|replicas| format!("\"replicas\":{replicas}"));
            let run_for = run_for.map(|time| {
                let seconds = time.as_secs();
                format!("\"for\":\"{}m{}s\"", seconds / 60, seconds % 60)
            });
            let members: Vec<String> = replicas.into_iter().chain(run_for).collect();
            let body = match members.is_empty() {
                true => String::new(),
                false => format!("{{{}}}", members.join(",")),
            };
            (Method::POST, of(target, "/start"), body)
        }
        CallTask::Scale {
            target, replicas, ..
        } => {
            let body = format!("{{\"replicas\":{replicas}}}");
            (Method::POST, of(target, "/scale"), body)
        }
    }
}

/// A fault whose reason is in an answer.
fn with(kind: CallFaultKind, sentence: String, said: Value) -> CallFault {
    CallFault {
        said: Some(said),
        ..CallFault::new(kind, sentence)
    }
}

/// Reads the token from its file.
fn token(file: &Path) -> Result<Secret, CallFault> {
    let read = BoundedFile::read(file, MAX_TOKEN);
    let read = read.map_err(|why| {
        let cure = match why {
            FileError::Unreadable(_) => {
                ": mount a serviceAccountToken for the gateway there, or name its file by \
                 --token-file"
            }
            FileError::TooLarge(_) => "",
        };
        of_file("token", file, &[&why.problem(), cure].concat())
    })?;
    let text = str::from_utf8(&read.bytes).unwrap_or_default().trim();
    match !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        true => Ok(Secret::new(text.to_owned())),
        false => Err(of_file("token", file, "holds no token")),
    }
}

/// Reads the authorities from their file.
fn authorities(file: &Path) -> Result<Bundle, CallFault> {
    let read = BoundedFile::read(file, MAX_CA);
    let read = read.map_err(|why| of_file("authorities", file, &why.problem()))?;
    Bundle::from_pem(&read.bytes)
        .map_err(|why| of_file("authorities", file, &format!("is of no use: {why}")))
}

/// The fault of a file that the arguments name.
fn of_file(what: &str, file: &Path, problem: &str) -> CallFault {
    let file = printable(&file.to_string_lossy(), MAX_PATH);
    let sentence = format!("the file of the {what}, {file}, {problem}");
    CallFault::new(CallFaultKind::Usage, sentence)
}

#[cfg(test)]
mod tests;
