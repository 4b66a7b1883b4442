//! `sendport cert import`

use std::path::{Path, PathBuf};

use sendport_core::domain::{CertificateAdded, CertificateChoice};
use sendport_core::regular_file;
use sendport_store::Store;
use serde::Serialize;

use super::cert_directory::DirectoryArgs;
use super::{Failure, print_json, progress, say};
use crate::app::{self, AppError, CertificateImport, Directory, ImportedCertificate};

/// What files of certificates end in.
const ENDINGS: [&str; 6] = ["pem", "crt", "cer", "der", "p7b", "p7c"];

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Files, or folders with *.pem, *.crt, *.cer, *.der, *.p7b and *.p7c
    #[arg(required_unless_present = "ldap", conflicts_with = "ldap")]
    paths: Vec<PathBuf>,
    /// Address to bind the certificate to, if it contains none or belongs to a gateway; one file only
    #[arg(long, conflicts_with = "ldap")]
    address: Vec<String>,
    /// Cipher to use instead of the send port's. Thunderbird shows messages encrypted with aes-256-gcm
    /// or aes-128-gcm as empty, without an error
    #[arg(long)]
    cipher: Option<String>,
    /// RSA padding to use instead of the send port's: pkcs1 or oaep
    #[arg(long)]
    rsa_padding: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    directory: DirectoryArgs,
}

impl Args {
    fn choice(&self) -> CertificateChoice {
        CertificateChoice {
            cipher: self.cipher.clone(),
            rsa_padding: self.rsa_padding.clone(),
        }
    }
}

/// The result for one certificate, or for a file of certificates.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    /// `added`, `changed`, `known`, `skipped` or `fail`.
    result: &'static str,
    address: Option<String>,
    subject: Option<String>,
    source: String,
    reason: Option<String>,
}

impl Entry {
    fn of(it: &ImportedCertificate, source: &str) -> Self {
        Self {
            result: match it.result {
                Err(_) => "skipped",
                Ok(CertificateAdded::Added) => "added",
                Ok(CertificateAdded::Changed) => "changed",
                Ok(CertificateAdded::Known) => "known",
            },
            address: it.address.clone(),
            subject: Some(it.subject.clone()),
            source: source.to_owned(),
            reason: it.result.as_ref().err().map(ToString::to_string),
        }
    }

    fn unread(source: &str, why: String) -> Self {
        Self {
            result: "fail",
            address: None,
            subject: None,
            source: source.to_owned(),
            reason: Some(why),
        }
    }

    fn line(&self) -> String {
        let (result, source) = (self.result, &self.source);
        let subject = self.subject.as_deref().unwrap_or_default();
        match (&self.reason, &self.address) {
            (Some(why), _) if result == "fail" => format!("FAIL     {why}"),
            (Some(why), _) => format!("{result}  {subject}, in {source}: {why}"),
            (None, address) => {
                let address = address.as_deref().unwrap_or("no address");
                format!("{result:7}  {address}: {subject}, in {source}")
            }
        }
    }
}

/// Each is said at once, or all of them at the end as JSON.
struct Entries {
    json: bool,
    all: Vec<Entry>,
}

impl Entries {
    fn add(&mut self, entry: Entry) {
        if !self.json {
            say(entry.line());
        }
        self.all.push(entry);
    }

    fn count(&self, of: impl Fn(&str) -> bool) -> usize {
        self.all.iter().filter(|entry| of(entry.result)).count()
    }

    /// Certificates that are in the table now.
    fn came(&self) -> usize {
        self.count(|result| !["fail", "skipped"].contains(&result))
    }
}

/// For programs.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Document<'a> {
    imported: &'a [Entry],
}

pub(super) async fn run(args: &Args, store: &dyn Store) -> Result<(), Failure> {
    let mut entries = Entries {
        json: args.json,
        all: Vec::new(),
    };
    let done = match args.directory.directory()? {
        Some(directory) => bring_people(args, &directory, store, &mut entries).await,
        None => bring(args, store, &mut entries).await,
    };
    if args.json {
        let imported = &entries.all;
        print_json(&Document { imported })?;
    }
    done
}

/// What cannot be read is said and left out; the others are imported.
async fn bring(args: &Args, store: &dyn Store, entries: &mut Entries) -> Result<(), Failure> {
    let files = files(&args.paths)?;
    if !args.address.is_empty() && files.len() != 1 {
        return Err(Failure::Other(format!(
            "--address says whom one file is for, but there are {}; import them one by one",
            files.len()
        )));
    }
    for (at, file) in files.iter().enumerate() {
        let (shown, number, all) = (file.display(), at + 1, files.len());
        progress::at(format_args!("cert import: {shown}, {number} of {all}"));
        match bring_file(args, file, store, entries).await {
            Err(AppError::Config(error)) => {
                entries.add(Entry::unread(&shown.to_string(), error.to_string()));
            }
            brought => brought?,
        }
    }
    let unread = entries.count(|result| result == "fail");
    match (unread, entries.came()) {
        (0, 0) => Err(Failure::Other(
            "nothing was imported: there is no certificate for a recipient".to_owned(),
        )),
        (0, came) => {
            if !args.json {
                progress::sum(format_args!("{} files, {came} certificates", files.len()));
            }
            Ok(())
        }
        (unread, _) => Err(Failure::Other(format!(
            "{unread} of {} files could not be imported",
            files.len()
        ))),
    }
}

/// All certificates of a directory; none where it does not return all of them.
async fn bring_people(
    args: &Args,
    directory: &Directory,
    store: &dyn Store,
    entries: &mut Entries,
) -> Result<(), Failure> {
    progress::at(format_args!("cert import: {}", directory.url));
    let people = directory.people().await;
    let people = people.map_err(Failure::other)?;
    let imported = app::import_people(store, &people, &args.choice(), &directory.url).await?;
    for it in &imported {
        entries.add(Entry::of(it, &directory.url));
    }
    let (people, came) = (people.len(), entries.came());
    if !args.json {
        let took = progress::took();
        say(format_args!("{people} people, {came} certificates{took}"));
    }
    match came {
        0 => Err(Failure::Other(format!(
            "nothing was imported: no entry below {} has a certificate usable for encryption",
            directory.base
        ))),
        _ => Ok(()),
    }
}

async fn bring_file(
    args: &Args,
    file: &Path,
    store: &dyn Store,
    entries: &mut Entries,
) -> Result<(), AppError> {
    let shown = file.display().to_string();
    let bytes = regular_file::read(file);
    let bytes = bytes.map_err(|error| AppError::config_at(&shown, error))?;
    let how = CertificateImport {
        addresses: &args.address,
        choice: args.choice(),
        source: &shown,
    };
    for it in &app::import_certificates(store, &bytes, &how).await? {
        entries.add(Entry::of(it, &shown));
    }
    Ok(())
}

/// Files as they are named; of a folder those that end as certificates do.
fn files(paths: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    let mut files = Vec::new();
    for path in paths {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        let unread = |why: std::io::Error| {
            Failure::Other(format!(
                "the folder {} cannot be read: {why}",
                path.display()
            ))
        };
        let mut found = Vec::new();
        for entry in std::fs::read_dir(path).map_err(unread)? {
            let file = entry.map_err(unread)?.path();
            let ending = file.extension().unwrap_or_default().to_string_lossy();
            if ENDINGS.contains(&&*ending.to_lowercase()) && file.is_file() {
                found.push(file);
            }
        }
        if found.is_empty() {
            let endings = ENDINGS.join(", *.");
            let path = path.display();
            return Err(Failure::Other(format!(
                "the folder {path} holds no file *.{endings}"
            )));
        }
        found.sort();
        files.extend(found);
    }
    Ok(files)
}
