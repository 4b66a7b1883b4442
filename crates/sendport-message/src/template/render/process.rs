//! A render worker, seen from the service.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::io;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::process::Child;

use super::limits::{self, MEMORY, PROCESSOR_TIME};
use super::wire::{Answer, Data, LONGEST, Request};
use super::worker::UNLIMITED;
use crate::template::TemplateSource;

/// Most compiled templates of a worker.
pub(super) const MOST: usize = 64;
/// A worker without CPU time for so long is abandoned.
const PATIENCE: Duration = Duration::from_secs(60);

/// How a worker ended instead of answering.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum WorkerExit {
    /// The request exceeded a limit, as `what` says. `certain`: earlier requests had no part in it.
    Exceeded { what: String, certain: bool },
    /// The system or an operator ended it.
    Other(String),
}

/// The CPU time of a running render.
#[derive(Debug, Default)]
pub(super) struct Meter(Mutex<Option<(u32, Duration)>>);

impl Meter {
    fn begin(&self, process: Option<u32>) {
        let begun = process.and_then(|id| Some((id, processor_time_of(id)?)));
        *self.0.lock() = begun;
    }

    /// CPU time so far; `None` where unknown.
    pub(super) fn spent(&self) -> Option<Duration> {
        let (id, begun) = (*self.0.lock())?;
        Some(processor_time_of(id)?.saturating_sub(begun))
    }
}

/// CPU time of a process, from Linux' `/proc`, in ticks of 10 ms.
fn processor_time_of(process: u32) -> Option<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name, which may hold blanks, ends with the last parenthesis.
    let (_, fields) = stat.rsplit_once(')')?;
    let ticks = fields.split_whitespace().skip(11).take(2);
    let ticks: u64 = ticks.map(|ticks| ticks.parse().unwrap_or(0)).sum();
    Some(Duration::from_millis(ticks * 10))
}

pub(super) struct Worker {
    child: Option<Child>,
    input: Box<dyn AsyncWrite + Send + Unpin>,
    output: Box<dyn AsyncRead + Send + Unpin>,
    /// Its templates, the last used one at the end.
    pub(super) compiled: VecDeque<u64>,
    /// It has low priority.
    pub(super) is_slow: bool,
}

impl Worker {
    /// Starts another process of this program, without secrets in its environment. `is_slow`: with low
    /// priority.
    pub(super) fn start(is_slow: bool) -> io::Result<Self> {
        // The worker loads shared libraries from the same places as the service.
        let kept = |name: &std::ffi::OsString| name == "LD_LIBRARY_PATH" || name == "SystemRoot";
        let mut command = tokio::process::Command::new(program()?);
        command
            .arg(super::VERB)
            .env_clear()
            .envs(std::env::vars_os().filter(|(name, _)| kept(name)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true);
        // Ctrl-C is for the service, which ends its workers.
        #[cfg(unix)]
        command.process_group(0);
        let mut child = command.spawn()?;
        if let Some(process) = child.id().filter(|_| is_slow) {
            // Without a lower priority it is still only one.
            let _ = limits::lower_priority(process);
        }
        let pipes = child.stdin.take().zip(child.stdout.take());
        let (input, output) = pipes.ok_or(io::ErrorKind::BrokenPipe)?;
        Ok(Self::over(Some(child), input, output, is_slow))
    }

    /// Starts a worker in this process, without limits.
    #[cfg(unix)]
    pub(super) fn in_process(is_slow: bool) -> io::Result<Self> {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
        std::thread::spawn(move || super::worker::serve(&theirs, &theirs, || Ok(())));
        ours.set_nonblocking(true)?;
        let (output, input) = tokio::net::UnixStream::from_std(ours)?.into_split();
        Ok(Self::over(None, input, output, is_slow))
    }

    fn over(
        child: Option<Child>,
        input: impl AsyncWrite + Send + Unpin + 'static,
        output: impl AsyncRead + Send + Unpin + 'static,
        is_slow: bool,
    ) -> Self {
        Self {
            child,
            input: Box::new(input),
            output: Box::new(output),
            compiled: VecDeque::new(),
            is_slow,
        }
    }

    /// Renders `alert`, or compiles the templates where there is none. After a [`WorkerExit`] the worker must
    /// not be used again. `meter` shows its CPU time meanwhile.
    pub(super) async fn ask(
        &mut self,
        source: &TemplateSource,
        alert: Option<Data<'_>>,
        meter: &Meter,
    ) -> Result<Answer, WorkerExit> {
        let request = Request {
            source: source.id,
            content: (!self.has(source.id)).then_some(Cow::Borrowed(&source.content)),
            forget: self.used(source.id),
            alert,
        };
        meter.begin(self.child.as_ref().and_then(Child::id));
        let answered = match serde_json::to_vec(&request) {
            Ok(request) => tokio::time::timeout(PATIENCE, self.exchange(&request)).await,
            Err(error) => return Err(WorkerExit::Other(error.to_string())),
        };
        match answered {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(self.exit(&error).await),
            Err(_) => Err(WorkerExit::Other(format!(
                "no answer for {} s",
                PATIENCE.as_secs()
            ))),
        }
    }

    pub(super) fn has(&self, source: u64) -> bool {
        self.compiled.contains(&source)
    }

    /// Marks these templates as used; returns those that the worker drops for them.
    fn used(&mut self, source: u64) -> Option<u64> {
        self.compiled.retain(|known| *known != source);
        self.compiled.push_back(source);
        (self.compiled.len() > MOST).then(|| self.compiled.pop_front())?
    }

    async fn exchange(&mut self, request: &[u8]) -> io::Result<Answer> {
        let length = u32::try_from(request.len()).map_err(io::Error::other)?;
        self.input.write_all(&length.to_be_bytes()).await?;
        self.input.write_all(request).await?;
        self.input.flush().await?;
        let length = self.output.read_u32().await?;
        if length > LONGEST {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let mut reply = vec![0; length as usize];
        self.output.read_exact(&mut reply).await?;
        Ok(serde_json::from_slice(&reply)?)
    }

    /// Why it does not answer.
    async fn exit(&mut self, error: &io::Error) -> WorkerExit {
        let Some(child) = &mut self.child else {
            return WorkerExit::Other(error.to_string());
        };
        // A process that already ended keeps its status.
        let _ = child.start_kill();
        match child.wait().await {
            Ok(status) => exit_reason(status),
            Err(error) => WorkerExit::Other(error.to_string()),
        }
    }
}

/// The file of this process, even after an update replaced it.
#[cfg(target_os = "linux")]
fn program() -> io::Result<std::path::PathBuf> {
    Ok("/proc/self/exe".into())
}

#[cfg(not(target_os = "linux"))]
fn program() -> io::Result<std::path::PathBuf> {
    std::env::current_exe()
}

#[cfg(unix)]
fn signal_of(status: ExitStatus) -> Option<i32> {
    std::os::unix::process::ExitStatusExt::signal(&status)
}

#[cfg(not(unix))]
fn signal_of(_status: ExitStatus) -> Option<i32> {
    None
}

/// Linux' numbers of SIGABRT (failed allocation, stack overflow detected by Rust), SIGBUS, SIGSEGV and
/// SIGXCPU.
fn exit_reason(status: ExitStatus) -> WorkerExit {
    match (signal_of(status), status.code()) {
        (Some(6 | 7 | 11), _) => WorkerExit::Exceeded {
            what: format!(
                "takes more than {} MiB of memory, or nests too deep",
                MEMORY >> 20
            ),
            certain: false,
        },
        (Some(24), _) => WorkerExit::Exceeded {
            what: format!("takes more than {PROCESSOR_TIME} s of a processor"),
            certain: true,
        },
        (None, Some(code)) if code != 0 && code != i32::from(UNLIMITED) => WorkerExit::Exceeded {
            what: format!("makes the template engine fail ({status})"),
            certain: false,
        },
        _ => WorkerExit::Other(status.to_string()),
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    /// What a shell that runs `script` took when `enough` of it was seen, or after so many looks.
    fn taken_by(script: &str, enough: Duration) -> Duration {
        let mut shell = Command::new("sh");
        shell.args(["-c", script]).stdin(Stdio::piped());
        let mut shell = shell.spawn().expect("sh");
        let meter = Meter::default();
        meter.begin(Some(shell.id()));
        let mut spent = Duration::ZERO;
        for _ in 0..1_000_000 {
            spent = meter.spent().expect("a process that is there");
            if spent >= enough {
                break;
            }
            std::thread::yield_now();
        }
        shell.kill().expect("kill");
        shell.wait().expect("ends");
        spent
    }

    #[test]
    fn a_waiting_worker_uses_no_processor_time() {
        let busy = taken_by("while :; do :; done", Duration::from_millis(100));
        assert!(busy >= Duration::from_millis(100), "{busy:?}");
        let mut waits = Command::new("sh");
        waits.args(["-c", "read line"]).stdin(Stdio::piped());
        let mut waits = waits.spawn().expect("sh");
        let meter = Meter::default();
        meter.begin(Some(waits.id()));
        // As long as another one needs for so much.
        taken_by("while :; do :; done", Duration::from_millis(100));
        let spent = meter.spent().expect("is there");
        assert!(spent < Duration::from_millis(100), "{spent:?}");
        waits.kill().expect("kill");
        waits.wait().expect("ends");
        assert_eq!(Meter::default().spent(), None);
    }
}
