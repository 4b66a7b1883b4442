//! Templates: those of the folder, and a cache of those of the database.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use chrono::FixedOffset;
use lru::LruCache;
use parking_lot::Mutex;
use sendport_core::domain::Alert;
use sendport_message::template::{
    NotRendered, RenderError, RenderTurn, RenderedAlert, Renderer, TemplateSource,
    is_template_name, template_name,
};
use sendport_store::templates::TemplateStore;
use sendport_store::{Event, EventSeverity, StoreError};
use tokio::sync::mpsc;

use super::ComposeError;
use crate::send_port::Refusal;

/// Most templates of the database, each in one version, that are cached.
const CAPACITY: NonZeroUsize = NonZeroUsize::new(64).expect("not zero");

/// The wait of an alert if no process can render it.
const RENDERER_WAIT: Duration = Duration::from_secs(5);

/// One version of one template; `None` where the database has no such template.
type CachedTemplate = Option<Arc<TemplateSource>>;

/// Templates by name and version.
type Templates = LruCache<(String, u32), CachedTemplate>;

/// The source of templates. A template of the database precedes one of the folder with its name. A cached version
/// is never read again, because versions do not change; the row of an alert has the newest
/// version.
pub struct TemplateCache {
    folder: Arc<TemplateSource>,
    renderer: Renderer,
    store: Option<Arc<dyn TemplateStore>>,
    cached: Mutex<Templates>,
    /// Held while a template is read, so that many alerts read it once.
    reading: tokio::sync::Mutex<()>,
}

/// The right of an alert to be rendered now, with these templates.
pub(super) struct TemplateTurn<'a> {
    source: Arc<TemplateSource>,
    turn: RenderTurn<'a>,
}

impl TemplateCache {
    /// Templates of a folder and of a database.
    pub fn new(folder: TemplateSource, store: Arc<dyn TemplateStore>) -> Self {
        Self {
            store: Some(store),
            ..Self::of_folder(folder)
        }
    }

    /// Templates of a folder alone.
    pub fn of_folder(folder: TemplateSource) -> Self {
        Self {
            folder: Arc::new(folder),
            renderer: Renderer::default(),
            store: None,
            cached: Mutex::new(LruCache::new(CAPACITY)),
            reading: tokio::sync::Mutex::default(),
        }
    }

    /// From now on the log and `EventLog` report templates that exceed a limit.
    pub fn report_to(&self, events: &mpsc::UnboundedSender<Event>) {
        let events = events.clone();
        self.renderer.on_suspect(move |template, what| {
            tracing::warn!(template, what, "slow template isolated");
            // Fails only once the worker that writes events has ended.
            let _ = events.send(one_at_a_time(template, what));
        });
    }

    /// Waits until an alert may be rendered.
    ///
    /// # Errors
    /// [`ComposeError`].
    pub(super) async fn turn(&self, alert: &Alert) -> Result<TemplateTurn<'_>, ComposeError> {
        let source = self.for_alert(alert).await?;
        let turn = self.renderer.turn(&source, alert).await;
        let turn = turn.map_err(|error| compose_error(&error))?;
        Ok(TemplateTurn { source, turn })
    }

    /// Renders an alert with its template, or as it is without one; `offset`: of the
    /// wall clock from UTC.
    ///
    /// # Errors
    /// [`ComposeError`].
    pub(super) async fn render<'a>(
        &self,
        TemplateTurn { source, turn }: TemplateTurn<'_>,
        alert: &'a Alert,
        offset: FixedOffset,
    ) -> Result<RenderedAlert<'a>, ComposeError> {
        let rendered = self.renderer.render_at(turn, &source, alert, offset).await;
        rendered.map_err(|error| compose_error(&error))
    }

    /// The templates to render `alert` with: the version of its first render; else
    /// the newest of the database; else that of the folder.
    ///
    /// # Errors
    /// [`ComposeError`].
    async fn for_alert(&self, alert: &Alert) -> Result<Arc<TemplateSource>, ComposeError> {
        let pinned = alert.template_version.as_deref().map(pinned);
        let (Some(name), Some(store)) = (template_name(alert), &self.store) else {
            return Ok(self.folder.clone());
        };
        let of_folder = self.folder.names().contains(name);
        let version = match pinned {
            Some(PinnedVersion::Database(version)) => Some(version),
            Some(PinnedVersion::Folder) if of_folder => None,
            _ => alert.newest_templates,
        };
        let Some(version) = version.filter(|_| is_template_name(name)) else {
            return Ok(self.folder.clone());
        };
        match self.find(&**store, name, version).await {
            Ok(Some(source)) => Ok(source),
            Ok(None) if matches!(pinned, Some(PinnedVersion::Database(_))) && !of_folder => {
                let name = name.to_owned();
                Err(never(&RenderError::Gone { name, version }))
            }
            Ok(None) => Ok(self.folder.clone()),
            Err(error) => Err(ComposeError::NotNow {
                what: "its template",
                error,
            }),
        }
    }

    async fn find(
        &self,
        store: &dyn TemplateStore,
        name: &str,
        version: u32,
    ) -> Result<CachedTemplate, StoreError> {
        let key = (name.to_owned(), version);
        if let Some(found) = self.cached.lock().get(&key).cloned() {
            return Ok(found);
        }
        let _alone = self.reading.lock().await;
        if let Some(found) = self.cached.lock().get(&key).cloned() {
            return Ok(found);
        }
        let rows = store.template_at(name, version).await?;
        let found = TemplateSource::of_rows(name, rows).map(Arc::new);
        self.cached.lock().put(key, found.clone());
        Ok(found)
    }
}

/// The two forms of `Alert.TemplateVersion`.
#[derive(Clone, Copy)]
enum PinnedVersion {
    /// Version of a template of the database.
    Database(u32),
    /// Hash of a template of the folder, with 16 digits.
    Folder,
}

fn pinned(version: &str) -> PinnedVersion {
    let number = version.parse().ok().filter(|_| version.len() < 16);
    number.map_or(PinnedVersion::Folder, PinnedVersion::Database)
}

fn compose_error(error: &NotRendered) -> ComposeError {
    let retry_in = match error {
        NotRendered::Never(error) => return never(error),
        NotRendered::NotNow(_) => RENDERER_WAIT,
        NotRendered::InTurn { retry_in, .. } => *retry_in,
    };
    ComposeError::Deferred(retry_in, Some(format!("waits: {error}")))
}

fn one_at_a_time(template: &str, what: &str) -> Event {
    Event {
        severity: EventSeverity::Warning,
        event_type: "template-limit-exceeded",
        instance: None,
        alert: None,
        send_port: None,
        relay: None,
        message: format!(
            "template '{template}' {what}: its alerts are rendered one at a time, until 10 minutes after it last did; give it less data, or correct loops, recursion and repetition in it"
        ),
    }
}

fn never(error: &RenderError) -> ComposeError {
    ComposeError::Never(Refusal::new(error.explanation(), error.to_string()))
}

#[cfg(test)]
#[path = "template_cache_tests.rs"]
mod tests;
