//! Rendering in separate processes.
//!
//! A template is a program: it can double a text until all memory is taken, nest values until
//! the stack overflows, or compare for hours, and minijinja's fuel sees only the instructions.
//! So each is compiled and rendered in a worker, another process of this program with resource limits
//! of the system. Exceeding a limit ends the worker and fails the alert.

mod limits;
mod process;
mod suspects;
mod turns;
mod wire;
mod worker;

use std::borrow::Cow;
use std::io;
use std::pin::pin;
use std::sync::OnceLock;
use std::time::Duration;

use chrono::{FixedOffset, Offset, Utc};
use parking_lot::Mutex;
use sendport_core::domain::Alert;

use super::set::as_it_is;
use super::{RenderError, RenderedAlert, TemplateSource, template_name};
use limits::SLOW;
use process::{Meter, Worker, WorkerExit};
use suspects::TemplateKey;
use turns::{Busy, Turn, Turns};
use wire::{Answer, Data, Parts, Reply};
pub use worker::render_worker;

/// The command line verb that runs [`render_worker`].
pub const VERB: &str = "render-worker";

/// Why an alert is not rendered, or templates are not compiled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotRendered {
    /// The alert fails.
    #[error(transparent)]
    Never(#[from] RenderError),
    /// No worker can be started at the moment: why, in a sentence.
    #[error("no process renders templates: {0}")]
    NotNow(String),
    /// Another alert with a suspect template is being rendered.
    #[error("template '{template}' {what}: its alerts are rendered one at a time")]
    InTurn {
        /// The column.
        template: String,
        /// Such as `takes more than 2 s of a processor`.
        what: String,
        /// When to try again.
        retry_in: Duration,
    },
}

/// Called when a template becomes suspect: its name, and what it does.
type Listener = Box<dyn Fn(&str, &str) + Send + Sync>;

/// Compiles templates and renders alerts, in workers that are started on demand.
///
/// Send ports get workers in turn. A template that exceeded a limit is suspect for ten minutes: the
/// alerts of all suspect templates share one worker of low priority, and are tried later while it is
/// busy. A slow render moves there too, or ends if that worker is busy.
pub struct Renderer {
    start: fn(is_slow: bool) -> io::Result<Worker>,
    turns: Turns,
    idle: Mutex<Vec<Worker>>,
    listener: OnceLock<Listener>,
}

/// The right of an alert to be rendered now. Others wait until it is dropped.
pub struct RenderTurn<'a>(Option<Turn<'a>>);

impl Default for Renderer {
    /// Workers are processes of this program, which has to implement [`VERB`].
    fn default() -> Self {
        Self::started_by(Worker::start)
    }
}

impl Renderer {
    /// Workers are threads of this process, without limits: for programs without [`VERB`], such as
    /// tests.
    #[cfg(unix)]
    pub fn in_process() -> Self {
        Self::started_by(Worker::in_process)
    }

    fn started_by(start: fn(bool) -> io::Result<Worker>) -> Self {
        Self {
            start,
            turns: Turns::default(),
            idle: Mutex::default(),
            listener: OnceLock::new(),
        }
    }

    /// Calls `listener` when a template becomes suspect, with its name and what it does. Only the first
    /// listener is used.
    pub fn on_suspect(&self, listener: impl Fn(&str, &str) + Send + Sync + 'static) {
        self.listener.get_or_init(|| Box::new(listener));
    }

    /// Compiles the templates; the inner error is a sentence.
    ///
    /// # Errors
    /// [`NotRendered::NotNow`].
    pub async fn compile(
        &self,
        source: &TemplateSource,
    ) -> Result<Result<(), String>, NotRendered> {
        let turn = self.turns.take("", None).await;
        let turn = turn.map_err(|busy| NotRendered::NotNow(busy.what))?;
        match self
            .ask(turn.is_slow(), source, None, &Meter::default())
            .await
        {
            Ok(Answer { reply, .. }) => match reply {
                Reply::Compiled(result) => Ok(result),
                Reply::Rendered(_) => Err(wrong_answer()),
            },
            Err(NotRendered::Never(error)) => {
                let file = self.file_at_fault(source).await?;
                Ok(Err(file.unwrap_or_else(|| error.to_string())))
            }
            Err(error) => Err(error),
        }
    }

    /// The first file whose compilation alone exceeds a limit, and which.
    async fn file_at_fault(&self, source: &TemplateSource) -> Result<Option<String>, NotRendered> {
        for (file, alone) in source.files() {
            match self.ask(false, &alone, None, &Meter::default()).await {
                Err(NotRendered::Never(error)) => {
                    return Ok(Some(format!("template file '{file}': {error}")));
                }
                Err(error) => return Err(error),
                Ok(_) => {}
            }
        }
        Ok(None)
    }

    /// Renders an alert with its template, or unchanged where it has none.
    ///
    /// The alert's own Subject takes precedence over the template's. Its Body does not: a template has
    /// it in `alert.body`.
    ///
    /// # Errors
    /// [`NotRendered`].
    pub async fn render<'a>(
        &self,
        source: &TemplateSource,
        alert: &'a Alert,
    ) -> Result<RenderedAlert<'a>, NotRendered> {
        let turn = self.turn(source, alert).await?;
        self.render_at(turn, source, alert, Utc.fix()).await
    }

    /// Waits for the alert's turn. One without a template does not wait.
    ///
    /// # Errors
    /// [`NotRendered::InTurn`].
    pub async fn turn(
        &self,
        source: &TemplateSource,
        alert: &Alert,
    ) -> Result<RenderTurn<'_>, NotRendered> {
        let Some(key) = key(source, alert) else {
            return Ok(RenderTurn(None));
        };
        let turn = self.turns.take(&alert.send_port, Some((&key, alert.id)));
        let turn = turn.await.map_err(|busy| in_turn(&key, busy))?;
        Ok(RenderTurn(Some(turn)))
    }

    /// [`Self::render`] with the alert's turn, and with the offset of local time from UTC for BizTalk's
    /// macros.
    ///
    /// # Errors
    /// As [`Self::render`].
    pub async fn render_at<'a>(
        &self,
        turn: RenderTurn<'_>,
        source: &TemplateSource,
        alert: &'a Alert,
        offset: FixedOffset,
    ) -> Result<RenderedAlert<'a>, NotRendered> {
        let (Some(mut turn), Some(key)) = (turn.0, key(source, alert)) else {
            return Ok(as_it_is(alert)?);
        };
        let data = Some((alert, offset.local_minus_utc()));
        let meter = Meter::default();
        let mut asked = pin!(self.ask(turn.is_slow(), source, data, &meter));
        let answer = loop {
            match tokio::time::timeout(SLOW, asked.as_mut()).await {
                Ok(answer) => break answer,
                // The machine is busy; the template is not at fault.
                Err(_) if meter.spent().is_some_and(|spent| spent < SLOW) => {}
                Err(_) => {
                    let slower = self.turns.slow_down(&mut turn, (&key, alert.id));
                    slower.map_err(|busy| in_turn(&key, busy))?;
                    break asked.await;
                }
            }
        };
        self.look(&key, &answer);
        match answer?.reply {
            Reply::Rendered(parts) => Ok(with_parts(alert, parts?)),
            Reply::Compiled(_) => Err(wrong_answer()),
        }
    }

    /// Records a template that exceeded a limit.
    fn look(&self, key: &TemplateKey, answer: &Result<Answer, NotRendered>) {
        let Some(excess) = excess(answer) else {
            return self.turns.acquit(key);
        };
        if self.turns.note(key, &excess)
            && let Some(listener) = self.listener.get()
        {
            listener(&key.name, &excess);
        }
    }

    /// Another template may have crashed the worker: the second attempt has a new worker.
    async fn ask(
        &self,
        is_slow: bool,
        source: &TemplateSource,
        alert: Option<(&Alert, i32)>,
        meter: &Meter,
    ) -> Result<Answer, NotRendered> {
        let name = alert.and_then(|(alert, _)| template_name(alert));
        let data = || alert.map(|(alert, offset)| Data::of(alert, offset));
        if let Some(mut worker) = self.used(is_slow) {
            match worker.ask(source, data(), meter).await {
                Ok(answer) => return Ok(self.keep(worker, answer)),
                Err(WorkerExit::Exceeded { what, certain }) if certain => {
                    return Err(exceeded(name, what).into());
                }
                Err(_) => {}
            }
        }
        let worker = (self.start)(is_slow);
        let mut worker = worker.map_err(|error| NotRendered::NotNow(error.to_string()))?;
        match worker.ask(source, data(), meter).await {
            Ok(answer) => Ok(self.keep(worker, answer)),
            Err(WorkerExit::Exceeded { what, .. }) => Err(exceeded(name, what).into()),
            Err(WorkerExit::Other(what)) => Err(NotRendered::NotNow(what)),
        }
    }

    fn keep(&self, worker: Worker, answer: Answer) -> Answer {
        self.idle.lock().push(worker);
        answer
    }

    /// An idle worker of that speed. Without one, an idle worker of the other speed ends, so that there
    /// are never more workers than turns.
    fn used(&self, is_slow: bool) -> Option<Worker> {
        let mut idle = self.idle.lock();
        match idle.iter().rposition(|worker| worker.is_slow == is_slow) {
            Some(found) => Some(idle.remove(found)),
            None => {
                idle.pop();
                None
            }
        }
    }
}

fn key(source: &TemplateSource, alert: &Alert) -> Option<TemplateKey> {
    let name = template_name(alert)?.to_owned();
    let text = source.text;
    Some(TemplateKey { name, text })
}

fn in_turn(key: &TemplateKey, busy: Busy) -> NotRendered {
    NotRendered::InTurn {
        template: key.name.clone(),
        what: busy.what,
        retry_in: busy.retry_in,
    }
}

/// The limit that a render exceeded.
fn excess(answer: &Result<Answer, NotRendered>) -> Option<String> {
    let (error, spent) = match answer {
        Err(NotRendered::Never(error)) => (Some(error), Duration::ZERO),
        Err(_) => return None,
        Ok(Answer { reply, spent }) => match reply {
            Reply::Rendered(Err(error)) => (Some(error), *spent),
            _ => (None, *spent),
        },
    };
    let slow = || format!("takes more than {} ms of a processor", SLOW.as_millis());
    error
        .and_then(RenderError::excess)
        .map(str::to_owned)
        .or_else(|| (spent > SLOW).then(slow))
}

fn exceeded(template: Option<&str>, what: String) -> RenderError {
    RenderError::Exceeded {
        template: template.map(str::to_owned),
        what,
    }
}

fn wrong_answer() -> NotRendered {
    NotRendered::NotNow("it answered something else".to_owned())
}

fn with_parts(alert: &Alert, parts: Parts) -> RenderedAlert<'_> {
    RenderedAlert {
        alert,
        subject: parts.subject,
        text: parts.text.map(Cow::Owned),
        html: parts.html.map(Cow::Owned),
        template_version: parts.version,
    }
}

#[cfg(test)]
mod tests;
