//! `sendport template`

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Serialize;

use super::table::Table;
use super::terminal::short_time;
use super::{Failure, load, open, print_json, say};
use crate::app;
use crate::domain::{TemplateRow, TemplateText, Timestamp};

/// Templates in the database: versions that never change.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  sendport template check templates      try each with its sample; asks no database
  sendport template import templates     what differs becomes a new version
  sendport template list
  sendport template export /tmp/templates")]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Bring the database's templates to what a folder holds
    Import {
        /// Files <name>[.<language>].subject.j2, .txt.j2, .html.j2, .sample.json, and _<name>...
        folder: PathBuf,
        /// Remove templates that the folder does not hold
        #[arg(long)]
        prune: bool,
    },
    /// Write the database's templates into a folder, as files that can be imported again
    Export {
        /// Made where there is none
        folder: PathBuf,
        /// Replace files that say something else
        #[arg(long)]
        overwrite: bool,
    },
    /// Show the database's templates
    List {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Render each template in each language with its sample payload
    Check {
        /// A folder, without asking a database; without it the database's templates
        folder: Option<PathBuf>,
    },
}

pub(super) async fn perform(args: Args, config: Option<PathBuf>) -> Result<(), Failure> {
    match args.verb {
        Verb::Check {
            folder: Some(folder),
        } => {
            let texts = app::read_template_folder(&folder)?;
            if texts.is_empty() {
                let folder = folder.display();
                return Err(Failure::Other(format!(
                    "there are no templates in '{folder}'; expected files such as order-late.txt.j2"
                )));
            }
            check(&texts).await
        }
        Verb::Check { folder: None } => check(&standing(config).await?).await,
        Verb::Import { folder, prune } => import(folder, prune, config).await,
        Verb::Export { folder, overwrite } => {
            let texts = standing(config).await?;
            for file in app::export_templates(&texts, &folder, overwrite)? {
                say(format_args!("wrote {}", file.display()));
            }
            Ok(())
        }
        Verb::List { json } => list(config, json).await,
    }
}

async fn standing(config: Option<PathBuf>) -> Result<Vec<TemplateText>, Failure> {
    let store = open(&load(config)?).await?;
    let rows = store.templates().await?.rows;
    Ok(rows.into_iter().map(|row| row.text).collect())
}

async fn check(texts: &[TemplateText]) -> Result<(), Failure> {
    let tried = app::try_templates(texts).await?;
    let mut failed = 0;
    for it in &tried {
        let stem = stem(&it.name, &it.language);
        match &it.result {
            Ok(subject) if it.has_sample => say(format_args!("ok    {stem}: {subject}")),
            Ok(_) => say(format_args!("ok    {stem}: needs no payload")),
            Err(problem) => {
                say(format_args!("FAIL  {stem}: {problem}"));
                failed += 1;
            }
        }
    }
    match failed {
        0 if tried.is_empty() => say("there are no templates"),
        0 => {}
        failed => {
            let all = tried.len();
            return Err(Failure::Other(format!(
                "{failed} of {all} templates failed"
            )));
        }
    }
    Ok(())
}

async fn import(folder: PathBuf, prune: bool, config: Option<PathBuf>) -> Result<(), Failure> {
    let texts = app::read_template_folder(&folder)?;
    refuse_unusable(&texts).await?;
    let store = open(&load(config)?).await?;
    let imported = app::import_templates(&*store, &texts, prune).await?;
    for change in &imported.changes {
        let version = match (change.kind, change.before) {
            (app::ChangeKind::Unchanged, before) => before,
            _ => imported.version,
        };
        say(format_args!(
            "{:9}  {}, version {}",
            change.kind.as_str(),
            app::file_stem(&change.text),
            version.unwrap_or_default()
        ));
    }
    Ok(())
}

/// What cannot work fails every alert; what has no sample may.
async fn refuse_unusable(texts: &[TemplateText]) -> Result<(), Failure> {
    let mut unusable = 0;
    for it in app::try_templates(texts).await? {
        let stem = stem(&it.name, &it.language);
        match it.result {
            Ok(_) => {}
            Err(problem) if it.conclusive => {
                say(format_args!("FAIL       {stem}: {problem}"));
                unusable += 1;
            }
            Err(_) => say(format_args!(
                "note       {stem}: not tried, there is no sample for it"
            )),
        }
    }
    match unusable {
        0 => Ok(()),
        unusable => Err(Failure::Other(format!(
            "nothing was imported: {unusable} templates do not work"
        ))),
    }
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
