//! `sendport cert`

use std::path::PathBuf;

use sendport_core::domain::{CertificateRow, Timestamp};
use sendport_store::Store;
use sendport_store::certificates::WhichCertificates;
use serde::Serialize;

use super::findings::Findings;
use super::table::Table;
use super::terminal::short_time;
use super::{Failure, cert_import, load, open, print_json, say};
use crate::app::{self, CheckedCertificate};
use crate::config::Config;

/// The recipients' certificates in the database: what alerts are encrypted to.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  sendport cert import alice.cer
  sendport cert import gateway.pem --address ops@contoso.com --rsa-padding oaep
  sendport cert import --ldap ldaps://dc1.contoso.com --base DC=contoso,DC=com \\
      --user reader@contoso.com --password-file reader.password
  sendport cert list
  sendport cert check                    can each be used for encryption now?
  sendport cert revoke 2BB1...C0 --reason 'key was lost'
  sendport cert remove alice@contoso.com")]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Add certificates from files (PEM, DER or PKCS #7) or from a directory (--ldap)
    Import(Box<cert_import::Args>),
    /// List certificates
    List {
        /// Only certificates of this address
        address: Option<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Check whether each certificate can be used for encryption now; fails if an address has none that can
    Check {
        /// Only certificates of this address
        address: Option<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Revoke a certificate, with a reason, for all addresses that it is bound to
    Revoke {
        /// Thumbprint (SHA-1), as `list` and Windows show it
        thumbprint: String,
        /// Reason, shown in the rows of the recipients
        #[arg(long)]
        reason: Option<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Remove a certificate from the table
    Remove {
        /// Thumbprint, or an address that has one certificate
        #[arg(value_name = "THUMBPRINT|ADDRESS")]
        what: String,
        /// All certificates of the address
        #[arg(long)]
        all: bool,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

pub(super) async fn run(args: Args, config: Option<PathBuf>) -> Result<(), Failure> {
    let config = load(config)?;
    let store = open(&config).await?;
    let store = &*store;
    match args.verb {
        Verb::Import(import) => cert_import::run(&import, store).await,
        Verb::List { address, json } => list(&rows(store, address.as_deref()).await?, json),
        Verb::Check { address, json } => {
            let rows = rows(store, address.as_deref()).await?;
            match &address {
                Some(address) if rows.is_empty() => none_of(address, json),
                _ => check(&config, rows, json).await,
            }
        }
        Verb::Revoke {
            thumbprint,
            reason,
            json,
        } => say_done(&revoke(store, &thumbprint, reason.as_deref()).await?, json),
        Verb::Remove { what, all, json } => say_done(&remove(store, &what, all).await?, json),
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

/// A row without the certificate itself.
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
        "ValidTo",
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

/// Nothing can be encrypted to an address that was asked for and has none.
fn none_of(address: &str, json: bool) -> Result<(), Failure> {
    let mut findings = Findings::new(json);
    let why = "there is no certificate for this address; import one by `sendport cert import`";
    findings.fail(address, Failure::Other(why.to_owned()));
    findings.end("", format!("nothing can be encrypted to {address}"))
}

async fn check(config: &Config, rows: Vec<CertificateRow>, json: bool) -> Result<(), Failure> {
    let mut findings = Findings::new(json);
    let mut without: Vec<String> = Vec::new();
    for it in app::check_certificates(config, rows).await? {
        let address = &it.row.text.address;
        judge(&it, &mut findings);
        if !it.address_is_served && !without.contains(address) {
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
        Err(why) if it.address_is_served => {
            findings.note(&text.address, format_args!("{why}; another one is used"));
        }
        Err(why) => findings.fail(&text.address, Failure::other(why)),
    }
}

/// What was done with a row, in a word.
type Done = (&'static str, CertificateRow);

async fn revoke(
    store: &dyn Store,
    thumbprint: &str,
    reason: Option<&str>,
) -> Result<Vec<Done>, Failure> {
    let mut all = Vec::new();
    for row in with_thumbprint(store, thumbprint).await? {
        let word = match store.revoke_certificate(row.id, reason).await? {
            true => "revoked",
            false => "was revoked before:",
        };
        all.push((word, row));
    }
    Ok(all)
}

async fn remove(store: &dyn Store, what: &str, all: bool) -> Result<Vec<Done>, Failure> {
    let rows = match what.contains('@') {
        true => of_address(store, what, all).await?,
        false => with_thumbprint(store, what).await?,
    };
    let mut removed = Vec::new();
    for row in rows {
        if store.remove_certificate(row.id).await? {
            removed.push(("removed", row));
        }
    }
    Ok(removed)
}

fn say_done(all: &[Done], json: bool) -> Result<(), Failure> {
    if json {
        let rows: Vec<Line<'_>> = all.iter().map(|(_, row)| row.into()).collect();
        return print_json(&rows);
    }
    for (word, row) in all {
        let text = &row.text;
        let (thumbprint, address, subject) = (&text.thumbprint, &text.address, &text.subject);
        say(format_args!("{word} {thumbprint} of {address}: {subject}"));
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
    let thumbprint = app::thumbprint(text).map_err(Failure::other)?;
    let which = WhichCertificates::WithThumbprint(&thumbprint);
    let rows = store.certificates(which).await?;
    match rows.is_empty() {
        true => Err(Failure::Other(format!(
            "there is no certificate with the thumbprint {thumbprint}"
        ))),
        false => Ok(rows),
    }
}
