//! `sendport preview --template`

use std::path::PathBuf;

use sendport_core::domain::TemplateText;

use super::config_file::load;
use super::{Failure, open, read_text};
use crate::app::{self, PreviewTexts};

/// A template instead of an alert.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub(super) struct Args {
    /// Name of a template in the database or, if it has none, in the configured folder
    #[arg(long, value_name = "NAME")]
    template: Option<String>,
    /// File with a JSON object; - is standard input [default: the template's sample]
    #[arg(long, value_name = "FILE", requires = "template")]
    payload: Option<PathBuf>,
    /// Language of the template, such as de-AT
    #[arg(
        long,
        value_name = "TAG",
        requires = "template",
        default_value = "",
        hide_default_value = true
    )]
    language: String,
    /// Read the template from this folder, without a database
    #[arg(long, value_name = "FOLDER", requires = "template")]
    folder: Option<PathBuf>,
}

/// Renders the template with the payload.
pub(super) async fn texts(args: &Args, config: Option<PathBuf>) -> Result<PreviewTexts, Failure> {
    let name = args.template.as_deref().unwrap_or_default();
    let payload = args.payload.as_deref().map(read_text).transpose()?;
    let texts = candidates(args, name, config).await?;
    let made = app::preview_template(&texts, name, &args.language, payload.as_deref()).await?;
    made.map_err(|why| {
        Failure::NotRelayed(format!("an alert with this template would fail: {why}"))
    })
}

async fn candidates(
    args: &Args,
    name: &str,
    config: Option<PathBuf>,
) -> Result<Vec<TemplateText>, Failure> {
    if let Some(folder) = &args.folder {
        return Ok(app::read_template_folder(folder)?);
    }
    let config = load(config)?;
    let rows = open(&config).await?.templates().await?.rows;
    let stored: Vec<_> = rows.into_iter().map(|row| row.text).collect();
    if stored.iter().any(|text| text.name == name) || config.templates.folder.as_os_str().is_empty()
    {
        return Ok(stored);
    }
    Ok(app::read_template_folder(&config.templates.folder)?)
}
