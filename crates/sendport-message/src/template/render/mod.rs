//! Rendering in processes of its own.
//!
//! A template is a program: it can double a text until all memory is taken, nest values until
//! the stack overflows, or compare for hours, and minijinja's fuel sees only the instructions.
//! So each is compiled and rendered in a worker, which is this program started once more, with
//! limits that the system keeps. What goes beyond them ends the worker and fails the alert.

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

use super::set::as_it_is;
use super::{RenderError, RenderedAlert, TemplateSource, template_name};
use limits::SLOW;
use process::{Death, Meter, Worker};
use sendport_core::domain::Alert;
use suspects::TemplateKey;
use turns::{Busy, Turn, Turns};
use wire::{Answer, Data, Parts, Reply};
pub use worker::render_worker;

/// The verb of the command line that [`render_worker`] is behind.
pub const VERB: &str = "render-worker";

/// Why an alert is not rendered, or templates are not compiled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotRendered {
    /// The alert fails.
    #[error(transparent)]
    Never(#[from] RenderError),
    /// The machine does not let it happen at the moment, in a sentence.
    #[error("no process renders templates: {0}")]
    NotNow(String),
    /// Another alert is rendered whose template takes too much, too.
    #[error("template '{template}' {what}: its alerts are rendered one at a time")]
    InTurn {
        /// The column.
        template: String,
        /// Such as `takes more than 2 s of a processor`.
        what: String,
        /// When to come back.
        retry_in: Duration,
    },
}

/// Told that a template takes too much from now on: its name, and what it does.
type Listener = Box<dyn Fn(&str, &str) + Send + Sync>;

/// Has templates compiled and alerts rendered, by workers that are started when they are needed.
///
/// Send ports get them in turn. A template that took too much for an alert is suspect for ten
/// minutes: alerts of all suspects together have one worker, which leaves the processor to others,
/// and do not wait for it. A render that takes long goes there, too, and ends where it is taken.
pub struct Renderer {
    start: fn(is_slow: bool) -> io::Result<Worker>,
    turns: Turns,
    idle: Mutex<Vec<Worker>>,
    listener: OnceLock<Listener>,
}

/// The right of an alert to be rendered now. Others wait until it is dropped.
pub struct RenderTurn<'a>(Option<Turn<'a>>);

impl Default for Renderer {
    /// Workers are processes: this program once more, which has to know [`VERB`].
    fn default() -> Self {
        Self::started_by(Worker::start)
    }
}

impl Renderer {
    /// Workers are threads of this process, without limits: for a program that does not know
    /// [`VERB`], such as a test.
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

    /// Has `listener` called when a template begins to be suspect: its name, and what it does. The
    /// first one stays.
    pub fn tell(&self, listener: impl Fn(&str, &str) + Send + Sync + 'static) {
        self.listener.get_or_init(|| Box::new(listener));
    }

    /// Looks whether the templates can be used; the inner error says in a sentence why not.
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

    /// The first file that alone takes more than compiling may, and what it takes.
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

    /// Renders an alert: with its template, or as it is where it has none.
    ///
    /// The alert's own Subject wins over the template's. Its Body does not: a template finds
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

    /// [`Self::render`] where it is the alert's turn and a wall clock is `offset` from UTC: for
    /// BizTalk's macros.
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
                // The machine has no processor for it: that is not the template's doing.
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

    /// Notes where the template took too much.
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

    /// A worker that dies may have been worn out by others: the second try has one of its own.
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
                Err(Death::Exceeded { what, certain }) if certain => {
                    return Err(exceeded(name, what).into());
                }
                Err(_) => {}
            }
        }
        let worker = (self.start)(is_slow);
        let mut worker = worker.map_err(|error| NotRendered::NotNow(error.to_string()))?;
        match worker.ask(source, data(), meter).await {
            Ok(answer) => Ok(self.keep(worker, answer)),
            Err(Death::Exceeded { what, .. }) => Err(exceeded(name, what).into()),
            Err(Death::Other(what)) => Err(NotRendered::NotNow(what)),
        }
    }

    fn keep(&self, worker: Worker, answer: Answer) -> Answer {
        self.idle.lock().push(worker);
        answer
    }

    /// A worker of that speed. Where there is none, one of the other speed makes room for it, so
    /// that there are never more than turns.
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

/// What a render took too much of.
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
