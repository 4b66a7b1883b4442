//! Takes one report after the other out of the folders of a source.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sendport_core::clock::Clock;
use sendport_core::domain::Feedback;
use sendport_core::replies::ReplyTable;
use sendport_store::feedback::{FeedbackResult, FeedbackStore};
use sendport_store::{StoreError, StoreErrorKind};
use tokio_util::sync::CancellationToken;

use super::folder::{self, Contents};
use super::proof::{Proofs, ReportFile};
use crate::config::{FeedbackSource, SourceKind};
use crate::observability::metrics::FeedbackMetrics;

/// So long a report waits for its transaction: the outcome of an attempt can reach the database after its report does.
const LONGEST_WAIT: Duration = Duration::from_secs(600);

/// So long a file in a folder of .eml files has to be unchanged: a program may still write it.
const SETTLE_TIME: Duration = Duration::from_secs(2);

/// Files that cannot be moved, which are remembered so that they are reported once.
const MOST_LEFT: usize = 10_000;

/// What a reader needs.
#[derive(Clone)]
pub struct FeedbackReaderDependencies {
    /// Finds what a report proves.
    pub proofs: Proofs,
    /// Classifies what servers say.
    pub bounces: Arc<ReplyTable>,
    /// Where reports are recorded.
    pub store: Arc<dyn FeedbackStore>,
    /// Counts them.
    pub metrics: Arc<FeedbackMetrics>,
    /// Wall-clock time.
    pub clock: Arc<dyn Clock>,
}

/// Reads the folders of one source.
pub struct FeedbackReader {
    name: String,
    source: FeedbackSource,
    parts: FeedbackReaderDependencies,
    /// They are recorded or unreadable, and cannot be moved.
    left: HashSet<PathBuf>,
    /// Was reported, and lasts.
    problem: Option<&'static str>,
}

/// Why a pass over the folders ends.
enum PassEnd {
    /// Each file was looked at.
    Complete,
    /// The database is away, or the service stops.
    Interrupted,
}

impl FeedbackReader {
    /// A reader of the section with this name.
    pub fn new(name: &str, source: &FeedbackSource, parts: FeedbackReaderDependencies) -> Self {
        Self {
            name: name.to_owned(),
            source: source.clone(),
            parts,
            left: HashSet::new(),
            problem: None,
        }
    }

    /// Records what comes until `stop`. A report leaves its folder only after it is committed.
    pub async fn run(mut self, stop: CancellationToken) {
        let (source, folder) = (self.name.clone(), self.source.folder.clone());
        tracing::info!(source, folder = %folder.display(), "feedback source started");
        loop {
            if matches!(self.pass(&stop).await, PassEnd::Complete) {
                self.recovered();
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(self.source.poll_interval) => {}
            }
        }
    }

    async fn pass(&mut self, stop: &CancellationToken) -> PassEnd {
        for inbox in self.source.inboxes() {
            let end = match self.pass_over(&inbox, stop).await {
                Ok(end) => end,
                Err(error) => {
                    self.report("feedback folder cannot be read", &error);
                    PassEnd::Interrupted
                }
            };
            if matches!(end, PassEnd::Interrupted) {
                return end;
            }
        }
        PassEnd::Complete
    }

    async fn pass_over(&mut self, inbox: &Path, stop: &CancellationToken) -> io::Result<PassEnd> {
        let mut entries = tokio::fs::read_dir(inbox).await?;
        while let Some(entry) = entries.next_entry().await? {
            if stop.is_cancelled() {
                return Ok(PassEnd::Interrupted);
            }
            let path = entry.path();
            let name = entry.file_name();
            if !folder::is_report(self.source.kind, &name.to_string_lossy())
                || self.left.contains(&path)
            {
                continue;
            }
            // Another instance may have taken it; a link is not followed.
            if !entry.file_type().await.is_ok_and(|it| it.is_file()) {
                continue;
            }
            if let Err(error) = self.take(&path).await {
                self.report("feedback waits for the database", &error);
                return Ok(PassEnd::Interrupted);
            }
        }
        Ok(PassEnd::Complete)
    }

    /// Records one file. An error is one of the database, which is waited for.
    async fn take(&mut self, path: &Path) -> Result<(), StoreError> {
        let read_path = path.to_owned();
        let read = tokio::task::spawn_blocking(move || folder::read(&read_path)).await;
        let contents = match read {
            Ok(Ok(contents)) => contents,
            Ok(Err(error)) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Ok(Err(error)) => {
                self.set_aside(path, "unread", &error.to_string());
                return Ok(());
            }
            Err(error) => {
                self.set_aside(path, "unread", &error.to_string());
                return Ok(());
            }
        };
        let now = self.parts.clock.now();
        let age = (now - contents.written_at).to_std().unwrap_or_default();
        if self.source.kind == SourceKind::Folder && age < SETTLE_TIME {
            return Ok(());
        }
        let key = content_key(&contents.bytes);
        let records = match self.records(contents, &key).await {
            Ok(records) => records,
            Err(why) => {
                self.set_aside(path, &key, &why);
                return Ok(());
            }
        };
        for record in &records {
            match self
                .parts
                .store
                .record_feedback(record, age >= LONGEST_WAIT)
                .await
            {
                Ok(FeedbackResult::UnknownTransaction) => return Ok(()),
                Ok(result) => self.recorded(path, record, &result),
                Err(error) if error.kind() == StoreErrorKind::Rejected => {
                    self.set_aside(path, &key, &error.to_string());
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
        }
        self.done(path, &key);
        Ok(())
    }

    /// What is recorded of a file. An error is a fault of ours: a report that the reader cannot take.
    async fn records(&self, contents: Contents, key: &str) -> Result<Vec<Feedback>, String> {
        let file = ReportFile {
            key: key.to_owned(),
            source: self.name.clone(),
            size_bytes: contents.size_bytes,
        };
        let bounces = self.parts.bounces.clone();
        let read = move || sendport_feedback::read(&contents.bytes, &bounces);
        let report = tokio::task::spawn_blocking(read).await;
        let report = report.map_err(|error| error.to_string())?;
        let now = self.parts.clock.now();
        Ok(self.parts.proofs.feedback(&file, &report, now))
    }

    fn recorded(&self, path: &Path, feedback: &Feedback, result: &FeedbackResult) {
        let (source, kind) = (&self.name, feedback.kind.as_str());
        let file = path.file_name().unwrap_or_default().to_string_lossy();
        match result {
            FeedbackResult::Matched { alert, recipients } => {
                self.parts.metrics.matched(source, feedback);
                let recipients = recipients.len();
                tracing::info!(source, %file, alert = alert.0, kind, recipients, "report recorded");
            }
            FeedbackResult::Unmatched(reason) => {
                self.parts.metrics.unmatched(source, feedback);
                tracing::info!(source, %file, kind, reason, "report recorded without a transaction");
            }
            FeedbackResult::Repeated | FeedbackResult::UnknownTransaction => {}
        }
    }

    /// The report is recorded, and leaves its folder.
    fn done(&mut self, path: &Path, key: &str) {
        let moved = match self.source.read_folder() {
            Some(folder) => folder::move_to(&folder, path, self.source.kind, key),
            None => folder::delete(path),
        };
        self.unless_left(path, moved);
    }

    /// The report cannot be read or recorded, and does not hinder the others.
    fn set_aside(&mut self, path: &Path, key: &str, why: &str) {
        let (source, file) = (&self.name, path.display());
        tracing::warn!(source, %file, error = why, "report cannot be read, moved to badmail");
        self.parts.metrics.unreadable(source);
        let moved = folder::move_to(&self.source.badmail(), path, self.source.kind, key);
        self.unless_left(path, moved);
    }

    fn unless_left(&mut self, path: &Path, moved: io::Result<()>) {
        let Err(error) = moved else { return };
        if self.left.len() >= MOST_LEFT {
            self.left.clear();
        }
        let (source, file) = (&self.name, path.display());
        tracing::error!(source, %file, %error, "report cannot be moved, let the service write its folders");
        self.left.insert(path.to_owned());
    }

    /// Once, until another one or none.
    fn report(&mut self, problem: &'static str, error: &dyn std::error::Error) {
        if self.problem != Some(problem) {
            tracing::warn!(source = self.name, %error, problem, "feedback source waits");
        }
        self.problem = Some(problem);
    }

    fn recovered(&mut self) {
        if self.problem.take().is_some() {
            tracing::info!(source = self.name, "feedback source recovered");
        }
    }
}

/// The same report read twice, by whichever instance, has the same key.
fn content_key(bytes: &[u8]) -> String {
    let hash = openssl::sha::sha256(bytes);
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}
