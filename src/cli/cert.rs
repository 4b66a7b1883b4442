//! `sendport cert`

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::cert_directory::DirectoryArgs;
use super::findings::Findings;
use super::table::Table;
use super::terminal::short_time;
use super::{Failure, load, open, print_json, progress, say};
use crate::app::{
    self, AppError, CertificateImport, CheckedCertificate, Directory, ImportedCertificate,
};
use crate::config::Config;
use crate::domain::{CertificateAdded, CertificateChoice, CertificateRow, Timestamp};
use crate::store::Store;
use crate::store::certificates::WhichCertificates;

/// What files of certificates end in.
const ENDINGS: [&str; 6] = ["pem", "crt", "cer", "der", "p7b", "p7c"];

/// The recipients' certificates in the database: what alerts are encrypted to.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  sendport cert import alice.cer
  sendport cert import gateway.pem --address ops@contoso.com --rsa-padding oaep
  sendport cert import --ldap ldaps://dc1.contoso.com --base DC=contoso,DC=com \\
      --user reader@contoso.com --password-file reader.password
  sendport cert list
  sendport cert check                    could each of them be encrypted to now?
  sendport cert revoke 2BB1...C0 --reason 'key was lost'
  sendport cert remove alice@contoso.com")]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Add certificates from files (PEM, DER or PKCS #7) or from a directory (--ldap)
    Import(Box<Import>),
    /// Show them
    List {
        /// Of one address
        address: Option<String>,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Say of each whether it could be encrypted to now, and why not; fails where somebody has none
    Check {
        /// Of one address
        address: Option<String>,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Use one no more, and say so to whoever asks why; for all addresses that it stands for
    Revoke {
        /// Its thumbprint (SHA-1), as `list` and Windows show it
        thumbprint: String,
        /// Why, for the rows of the recipients
        #[arg(long)]
        reason: Option<String>,
    },
    /// Remove one from the table
    Remove {
        /// A thumbprint, or an address that has one certificate
        #[arg(value_name = "THUMBPRINT|ADDRESS")]
        what: String,
        /// All that the address has
        #[arg(long)]
        all: bool,
    },
}

#[derive(Debug, clap::Args)]
struct Import {
    /// Files, or folders with *.pem, *.crt, *.cer, *.der, *.p7b and *.p7c
    #[arg(required_unless_present = "ldap", conflicts_with = "ldap")]
    paths: Vec<PathBuf>,
    /// Whom it is for, where that is not in it or it is a gateway's: one file only
    #[arg(long, conflicts_with = "ldap")]
    address: Vec<String>,
    /// Encrypt to it by this cipher instead of the send port's. Thunderbird shows what aes-256-gcm
    /// and aes-128-gcm encrypted as an empty message, without any error
    #[arg(long)]
    cipher: Option<String>,
    /// Encrypt to its RSA key so instead of as the send port says: pkcs1 or oaep
    #[arg(long)]
    rsa_padding: Option<String>,
    #[command(flatten)]
    directory: DirectoryArgs,
}

impl Import {
    fn choice(&self) -> CertificateChoice {
        CertificateChoice {
            cipher: self.cipher.clone(),
            rsa_padding: self.rsa_padding.clone(),
        }
    }
}

pub(super) async fn perform(args: Args, config: Option<PathBuf>) -> Result<(), Failure> {
    let config = load(config)?;
    let store = open(&config).await?;
    let store = &*store;
    match args.verb {
        Verb::Import(import) => match import.directory.directory()? {
            Some(directory) => bring_people(&import, &directory, store).await,
            None => bring(&import, store).await,
        },
        Verb::List { address, json } => list(&rows(store, address.as_deref()).await?, json),
        Verb::Check { address, json } => {
            check(&config, rows(store, address.as_deref()).await?, json).await
        }
        Verb::Revoke { thumbprint, reason } => revoke(store, &thumbprint, reason.as_deref()).await,
        Verb::Remove { what, all } => remove(store, &what, all).await,
    }
}

/// Those of one address, or all.
async fn rows(store: &dyn Store, address: Option<&str>) -> Result<Vec<CertificateRow>, Failure> {
    let address = address.map(app::certificate_owner).transpose()?;
    let which = match &address {
        Some(address) => WhichCertificates::Of(address),
        None => WhichCertificates::All,
    };
    Ok(store.certificates(which).await?)
}

/// What cannot be read is told of and left out; the others are imported.
async fn bring(import: &Import, store: &dyn Store) -> Result<(), Failure> {
    let files = files(&import.paths)?;
    if !import.address.is_empty() && files.len() != 1 {
        return Err(Failure::Other(format!(
            "--address says whom one file is for, but there are {}; import them one by one",
            files.len()
        )));
    }
    let (mut unread, mut came) = (0, 0);
    for (at, file) in files.iter().enumerate() {
        progress::at(format_args!(
            "cert import: {}, {} of {}",
            file.display(),
            at + 1,
            files.len()
        ));
        match bring_file(import, file, store).await {
            Ok(imported) => came += imported,
            Err(AppError::Config(what)) => {
                say(format_args!("FAIL     {what}"));
                unread += 1;
            }
            Err(error) => return Err(error.into()),
        }
    }
    match (unread, came) {
        (0, 0) => Err(Failure::Other(
            "nothing was imported: there is no certificate for a recipient".to_owned(),
        )),
        (0, came) => {
            progress::sum(format_args!("{} files, {came} certificates", files.len()));
            Ok(())
        }
        (unread, _) => Err(Failure::Other(format!(
            "{unread} of {} files could not be imported",
            files.len()
        ))),
    }
}

/// Those of everybody in a directory; nobody's where it does not hand all of them out.
async fn bring_people(
    import: &Import,
    directory: &Directory,
    store: &dyn Store,
) -> Result<(), Failure> {
    let people = directory.people().await;
    let people = people.map_err(|error| Failure::Other(error.to_string()))?;
    let imported = app::import_people(store, &people, &import.choice(), &directory.url).await?;
    for it in &imported {
        say(imported_line(it, &directory.url));
    }
    let came = imported.iter().filter(|it| it.fate.is_ok()).count();
    let (people, took) = (people.len(), progress::took());
    say(format_args!("{people} people, {came} certificates{took}"));
    match came {
        0 => Err(Failure::Other(format!(
            "nothing was imported: below {} nobody has a certificate that could be encrypted to",
            directory.base
        ))),
        _ => Ok(()),
    }
}

/// How many certificates for a recipient were in it.
async fn bring_file(import: &Import, file: &Path, store: &dyn Store) -> Result<usize, AppError> {
    let shown = file.display().to_string();
    let octets = std::fs::read(file);
    let octets = octets.map_err(|why| AppError::Config(format!("{shown}: {why}")))?;
    let how = CertificateImport {
        addresses: &import.address,
        choice: import.choice(),
        source: &shown,
    };
    let imported = app::import_certificates(store, &octets, &how).await?;
    for it in &imported {
        say(imported_line(it, &shown));
    }
    Ok(imported.iter().filter(|it| it.fate.is_ok()).count())
}

fn imported_line(it: &ImportedCertificate, file: &str) -> String {
    let (subject, address) = (&it.subject, it.address.as_deref().unwrap_or("nobody"));
    match &it.fate {
        Err(why) => format!("skipped  {subject}, in {file}: {why}"),
        Ok(added) => {
            let word = match added {
                CertificateAdded::Added => "added",
                CertificateAdded::Changed => "changed",
                CertificateAdded::Known => "known",
            };
            format!("{word:7}  {address}: {subject}, in {file}")
        }
    }
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

/// A row without its octets.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Line<'a> {
    address: &'a str,
    bound_by: &'a str,
    thumbprint: &'a str,
    sha256_fingerprint: &'a str,
    subject: &'a str,
    issuer: &'a str,
    serial_number: &'a str,
    valid_from_at: Timestamp,
    valid_to_at: Timestamp,
    key_usage: &'a str,
    key_algorithm: &'a str,
    capabilities: Option<&'a str>,
    cipher: Option<&'a str>,
    rsa_padding: Option<&'a str>,
    source: &'a str,
    added_at: Timestamp,
    added_by: &'a str,
    revoked_at: Option<Timestamp>,
    revoked_reason: Option<&'a str>,
}

impl<'a> From<&'a CertificateRow> for Line<'a> {
    fn from(row: &'a CertificateRow) -> Self {
        let (text, revoked) = (&row.text, row.revoked.as_ref());
        Self {
            address: &text.address,
            bound_by: text.bound_by.as_str(),
            thumbprint: &text.thumbprint,
            sha256_fingerprint: &text.sha256,
            subject: &text.subject,
            issuer: &text.issuer,
            serial_number: &text.serial_number,
            valid_from_at: text.valid_from,
            valid_to_at: text.valid_to,
            key_usage: &text.key_usage,
            key_algorithm: &text.key_algorithm,
            capabilities: text.capabilities.as_deref(),
            cipher: text.choice.cipher.as_deref(),
            rsa_padding: text.choice.rsa_padding.as_deref(),
            source: &text.source,
            added_at: row.added_at,
            added_by: &row.added_by,
            revoked_at: revoked.map(|it| it.at),
            revoked_reason: revoked.and_then(|it| it.reason.as_deref()),
        }
    }
}

fn list(rows: &[CertificateRow], json: bool) -> Result<(), Failure> {
    let lines: Vec<Line<'_>> = rows.iter().map(Line::from).collect();
    if json {
        return print_json(&lines);
    }
    let mut table = Table::new([
        "Address",
        "Thumbprint",
        "ValidToAt",
        "KeyAlgorithm",
        "KeyUsage",
        "Cipher",
        "RsaPadding",
        "RevokedAt",
        "Source",
    ]);
    for line in lines {
        let words = |word: Option<&str>| word.unwrap_or_default().to_owned();
        table.row([
            line.address.to_owned(),
            line.thumbprint.to_owned(),
            short_time(line.valid_to_at),
            line.key_algorithm.to_owned(),
            line.key_usage.to_owned(),
            words(line.cipher),
            words(line.rsa_padding),
            line.revoked_at.map(short_time).unwrap_or_default(),
            line.source.to_owned(),
        ]);
    }
    say("Certificates");
    say(table);
    Ok(())
}

async fn check(config: &Config, rows: Vec<CertificateRow>, json: bool) -> Result<(), Failure> {
    let mut findings = Findings::new(json);
    let mut without: Vec<String> = Vec::new();
    for it in app::check_certificates(config, rows).await? {
        let address = &it.row.text.address;
        judge(&it, &mut findings);
        if !it.has_successor && !without.contains(address) {
            without.push(address.clone());
        }
    }
    let fine = match findings.count() {
        0 => "there are no certificates",
        _ => "nothing failed",
    };
    let summary = format!("nothing can be encrypted to {}", without.join(", "));
    findings.end(fine, summary)
}

fn judge(it: &CheckedCertificate, findings: &mut Findings) {
    let text = &it.row.text;
    match &it.usable {
        Ok(()) => {
            let (thumbprint, key) = (&text.thumbprint, &text.key_algorithm);
            let until = short_time(text.valid_to);
            findings.ok(
                &text.address,
                format_args!("{thumbprint}, {key}, until {until}"),
            );
        }
        Err(why) if it.has_successor => {
            findings.note(&text.address, format_args!("{why}; another one is used"));
        }
        Err(why) => findings.fail(&text.address, Failure::Other(why.clone())),
    }
}

async fn revoke(store: &dyn Store, thumbprint: &str, reason: Option<&str>) -> Result<(), Failure> {
    let rows = with_thumbprint(store, thumbprint).await?;
    for row in rows {
        let done = store.revoke_certificate(row.id, reason).await?;
        let word = match done {
            true => "revoked",
            false => "was revoked before:",
        };
        say(line(word, &row));
    }
    Ok(())
}

async fn remove(store: &dyn Store, what: &str, all: bool) -> Result<(), Failure> {
    let rows = match what.contains('@') {
        true => of_address(store, what, all).await?,
        false => with_thumbprint(store, what).await?,
    };
    for row in rows {
        if store.remove_certificate(row.id).await? {
            say(line("removed", &row));
        }
    }
    Ok(())
}

async fn of_address(
    store: &dyn Store,
    address: &str,
    all: bool,
) -> Result<Vec<CertificateRow>, Failure> {
    let rows = rows(store, Some(address)).await?;
    match rows.len() {
        0 => Err(Failure::Other(format!(
            "there is no certificate for {address}"
        ))),
        1 => Ok(rows),
        _ if all => Ok(rows),
        several => {
            let thumbprints: Vec<_> = rows.iter().map(|row| &*row.text.thumbprint).collect();
            Err(Failure::Other(format!(
                "there are {several} certificates for {address}: {}; name one of them, or add --all",
                thumbprints.join(", ")
            )))
        }
    }
}

async fn with_thumbprint(store: &dyn Store, text: &str) -> Result<Vec<CertificateRow>, Failure> {
    let thumbprint = app::thumbprint(text).map_err(Failure::Other)?;
    let which = WhichCertificates::WithThumbprint(&thumbprint);
    let rows = store.certificates(which).await?;
    match rows.is_empty() {
        true => Err(Failure::Other(format!(
            "there is no certificate with the thumbprint {thumbprint}"
        ))),
        false => Ok(rows),
    }
}

fn line(word: &str, row: &CertificateRow) -> String {
    let text = &row.text;
    let (thumbprint, address, subject) = (&text.thumbprint, &text.address, &text.subject);
    format!("{word} {thumbprint} of {address}: {subject}")
}
