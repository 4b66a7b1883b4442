//! Rendering in processes of its own.
//!
//! A template is a program: it can double a text until all memory is taken, nest values until
//! the stack overflows, or compare for hours, and minijinja's fuel sees only the instructions.
//! So each is compiled and rendered in a worker, which is this program started once more, with
//! limits that the system keeps. What goes beyond them ends the worker and fails the alert.

mod limits;
mod process;
mod wire;
mod worker;

use std::borrow::Cow;
use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::{FixedOffset, Offset, Utc};
use tokio::sync::Semaphore;

use super::set::as_it_is;
use super::{RenderError, RenderedAlert, TemplateSource, template_name};
use crate::domain::Alert;
use process::{Death, Worker};
use wire::{Data, Parts, Reply};
pub use worker::render_worker;

/// The verb of the command line that [`render_worker`] is behind.
pub const VERB: &str = "render-worker";

/// Most workers at the same time.
const WORKERS: usize = 2;

/// Why an alert is not rendered, or templates are not compiled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotRendered {
    /// The alert fails.
    #[error(transparent)]
    Never(#[from] RenderError),
    /// The machine does not let it happen at the moment, in a sentence.
    #[error("no process renders templates: {0}")]
    NotNow(String),
}

/// Has templates compiled and alerts rendered, by workers that are started when they are needed.
pub struct Renderer {
    turns: Semaphore,
    idle: Mutex<Vec<Worker>>,
}

impl Default for Renderer {
    fn default() -> Self {
        Self {
            turns: Semaphore::new(WORKERS),
            idle: Mutex::default(),
        }
    }
}

impl Renderer {
    /// Looks whether the templates can be used; the inner error says in a sentence why not.
    ///
    /// # Errors
    /// [`NotRendered::NotNow`].
    pub async fn compile(
        &self,
        source: &TemplateSource,
    ) -> Result<Result<(), String>, NotRendered> {
        match self.ask(source, None).await {
            Ok(Reply::Compiled(result)) => Ok(result),
            Ok(Reply::Rendered(_)) => Err(wrong_answer()),
            Err(NotRendered::Never(error)) => Ok(Err(error.to_string())),
            Err(error) => Err(error),
        }
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
        self.render_at(source, alert, Utc.fix()).await
    }

    /// [`Self::render`] where a wall clock is `offset` from UTC: for BizTalk's macros.
    ///
    /// # Errors
    /// As [`Self::render`].
    pub async fn render_at<'a>(
        &self,
        source: &TemplateSource,
        alert: &'a Alert,
        offset: FixedOffset,
    ) -> Result<RenderedAlert<'a>, NotRendered> {
        if template_name(alert).is_none() {
            return Ok(as_it_is(alert)?);
        }
        let offset = offset.local_minus_utc();
        match self.ask(source, Some((alert, offset))).await? {
            Reply::Rendered(parts) => Ok(with_parts(alert, parts?)),
            Reply::Compiled(_) => Err(wrong_answer()),
        }
    }

    /// A worker that dies may have been worn out by others: the second try has one of its own.
    async fn ask(
        &self,
        source: &TemplateSource,
        alert: Option<(&Alert, i32)>,
    ) -> Result<Reply, NotRendered> {
        let name = alert.and_then(|(alert, _)| template_name(alert));
        let data = || alert.map(|(alert, offset)| Data::of(alert, offset));
        let turn = self.turns.acquire().await;
        let _turn = turn.map_err(|error| NotRendered::NotNow(error.to_string()))?;
        let used = self.idle().pop();
        if let Some(mut worker) = used {
            match worker.ask(source, data()).await {
                Ok(reply) => return Ok(self.keep(worker, reply)),
                Err(Death::Exceeded { what, certain }) if certain => {
                    return Err(exceeded(name, what).into());
                }
                Err(_) => {}
            }
        }
        let mut worker = Worker::start().map_err(|error| NotRendered::NotNow(error.to_string()))?;
        match worker.ask(source, data()).await {
            Ok(reply) => Ok(self.keep(worker, reply)),
            Err(Death::Exceeded { what, .. }) => Err(exceeded(name, what).into()),
            Err(Death::Other(what)) => Err(NotRendered::NotNow(what)),
        }
    }

    fn keep(&self, worker: Worker, reply: Reply) -> Reply {
        self.idle().push(worker);
        reply
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Worker>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
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
