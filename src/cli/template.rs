//! `sendport template`

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use sendport_core::domain::{TemplateRow, TemplateText, Timestamp};
use serde::Serialize;

use super::findings::{Finding, Findings};
use super::table::Table;
use super::terminal::short_time;
use super::{Failure, load, open, print_json, progress, say};
use crate::app;

/// Templates in the database: versions that never change.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  sendport template check templates      render each with its sample; needs no database
  sendport template import templates     changed templates become new versions
  sendport template list
  sendport template export /tmp/templates")]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Import the templates of a folder into the database
    Import {
        /// Files <name>[.<language>].subject.j2, .txt.j2, .html.j2, .sample.json, and _<name>...
        folder: PathBuf,
        /// Remove templates that are not in the folder
        #[arg(long)]
        prune: bool,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Write the database's templates into a folder, as files that can be imported again
    Export {
        /// Target folder; created if it does not exist
        folder: PathBuf,
        /// Replace files that differ
        #[arg(long)]
        overwrite: bool,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show the database's templates
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Render each template in each language with its sample payload
    Check {
        /// Folder to check, without a database [default: the templates in the database]
        folder: Option<PathBuf>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

pub(super) async fn run(args: Args, config: Option<PathBuf>) -> Result<(), Failure> {
    match args.verb {
        Verb::Check { folder, json } => check(&texts(folder, config).await?, json).await,
        Verb::Import {
            folder,
            prune,
            json,
        } => import(folder, (prune, json), config).await,
        Verb::Export {
            folder,
            overwrite,
            json,
        } => export(&stored_templates(config).await?, &folder, (overwrite, json)),
        Verb::List { json } => list(config, json).await,
    }
}

/// Those of the folder, else those of the database.
async fn texts(
    folder: Option<PathBuf>,
    config: Option<PathBuf>,
) -> Result<Vec<TemplateText>, Failure> {
    let Some(folder) = folder else {
        return stored_templates(config).await;
    };
    in_folder(&folder)
}

fn in_folder(folder: &Path) -> Result<Vec<TemplateText>, Failure> {
    let texts = app::read_template_folder(folder)?;
    if texts.is_empty() {
        let folder = folder.display();
        return Err(Failure::Other(format!(
            "there are no templates in '{folder}'; expected files such as order-late.txt.j2"
        )));
    }
    Ok(texts)
}

async fn stored_templates(config: Option<PathBuf>) -> Result<Vec<TemplateText>, Failure> {
    let store = open(&load(config)?).await?;
    let rows = store.templates().await?.rows;
    Ok(rows.into_iter().map(|row| row.text).collect())
}

async fn check(texts: &[TemplateText], json: bool) -> Result<(), Failure> {
    let findings = tried(texts, json, true).await?;
    let (failed, all) = (findings.failed(), findings.count());
    let fine = match all {
        0 => "there are no templates",
        _ => "nothing failed",
    };
    let summary = format!("{failed} of {all} templates failed");
    findings.end(fine, summary)
}

/// What failed only because there is no sample is noted. `fine`: what did not fail is said, too.
async fn tried(texts: &[TemplateText], json: bool, fine: bool) -> Result<Findings, Failure> {
    let mut findings = Findings::new(json);
    let own = texts.iter().filter(|text| !text.name.starts_with('_'));
    let all = own.map(|text| &text.name).collect::<BTreeSet<_>>().len();
    let mut number = 0;
    let begin = |name: &str| {
        number += 1;
        progress::at(format_args!("template {name}, {number} of {all}"));
    };
    for it in app::try_templates(texts, begin).await? {
        let stem = stem(&it.name, &it.language);
        match it.result {
            Ok(_) if !fine => {}
            Ok(subject) if it.has_sample => findings.ok(&stem, subject),
            Ok(_) => findings.ok(&stem, "needs no payload"),
            Err(problem) if it.conclusive => findings.fail(&stem, Failure::Other(problem)),
            Err(problem) => findings.note(&stem, problem),
        }
    }
    Ok(findings)
}

/// What an import did, for programs.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct TemplateImport<'a> {
    changes: Vec<ChangedOutput<'a>>,
    findings: Vec<Finding>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ChangedOutput<'a> {
    change: &'static str,
    name: &'a str,
    /// Empty for the default.
    language: &'a str,
    version: u32,
}

/// What cannot work fails every alert, and keeps everything from being imported.
async fn import(
    folder: PathBuf,
    (prune, json): (bool, bool),
    config: Option<PathBuf>,
) -> Result<(), Failure> {
    let texts = match prune {
        // Nothing may be left.
        true => app::read_template_folder(&folder)?,
        false => in_folder(&folder)?,
    };
    let findings = tried(&texts, json, false).await?;
    match findings.failed() {
        0 => {}
        unusable => {
            let summary = format!("nothing was imported: {unusable} templates do not work");
            return findings.end("", summary);
        }
    }
    let store = open(&load(config)?).await?;
    let imported = app::import_templates(&*store, &texts, prune).await?;
    let changed = |it| changed(it, imported.version);
    let changes: Vec<_> = imported.changes.iter().map(changed).collect();
    if json {
        let findings = findings.into_list();
        return print_json(&TemplateImport { changes, findings });
    }
    for it in &changes {
        let (stem, version) = (stem(it.name, it.language), it.version);
        say(format_args!("{:9}  {stem}, version {version}", it.change));
    }
    progress::sum(format_args!("{} templates", changes.len()));
    Ok(())
}

fn changed(it: &app::Change, version: Option<u32>) -> ChangedOutput<'_> {
    let version = match it.kind {
        app::ChangeKind::Unchanged => it.before,
        _ => version,
    };
    ChangedOutput {
        change: it.kind.as_str(),
        name: &it.text.name,
        language: &it.text.language,
        version: version.unwrap_or_default(),
    }
}

/// For programs.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ExportedOutput {
    written: Vec<PathBuf>,
}

fn export(
    texts: &[TemplateText],
    folder: &Path,
    (overwrite, json): (bool, bool),
) -> Result<(), Failure> {
    let written = app::export_templates(texts, folder, overwrite)?;
    if json {
        return print_json(&ExportedOutput { written });
    }
    if written.is_empty() {
        let (folder, all) = (folder.display(), texts.len());
        say(format_args!(
            "nothing changed: '{folder}' holds the database's templates already, {all} texts"
        ));
    }
    for file in written {
        say(format_args!("wrote {}", file.display()));
    }
    Ok(())
}

fn stem(name: &str, language: &str) -> String {
    app::file_stem(&TemplateText {
        name: name.to_owned(),
        language: language.to_owned(),
        ..TemplateText::default()
    })
}

/// One template with all its languages.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Line {
    name: String,
    languages: Vec<String>,
    /// Of the language that changed last.
    version: u32,
    created_at: Timestamp,
    created_by: String,
    sample: bool,
}

async fn list(config: Option<PathBuf>, json: bool) -> Result<(), Failure> {
    let store = open(&load(config)?).await?;
    let lines = lines(store.templates().await?.rows);
    if json {
        return print_json(&lines);
    }
    let mut table = Table::new([
        "Name",
        "Languages",
        "Version",
        "CreatedAt",
        "CreatedBy",
        "Sample",
    ]);
    for line in lines {
        table.row([
            line.name,
            line.languages.join(", "),
            line.version.to_string(),
            short_time(line.created_at),
            line.created_by,
            if line.sample { "yes" } else { "no" }.to_owned(),
        ]);
    }
    say("Templates");
    say(table);
    Ok(())
}

fn lines(rows: Vec<TemplateRow>) -> Vec<Line> {
    let mut lines: BTreeMap<String, Line> = BTreeMap::new();
    for row in rows {
        let language = match row.text.language.as_str() {
            "" => "default".to_owned(),
            language => language.to_owned(),
        };
        let line = lines.entry(row.text.name.clone()).or_insert_with(|| Line {
            name: row.text.name,
            languages: Vec::new(),
            version: row.version,
            created_at: row.created_at,
            created_by: row.created_by.clone(),
            sample: false,
        });
        line.languages.push(language);
        line.sample |= row.text.sample.is_some();
        if row.version > line.version {
            line.version = row.version;
            line.created_at = row.created_at;
            line.created_by = row.created_by;
        }
    }
    lines.into_values().collect()
}
