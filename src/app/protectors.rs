//! What send ports sign with and encrypt to, read from its files.

use std::path::Path;
use std::sync::Arc;

use super::{AppError, system_clock};
use crate::config::encryption::EncryptionConfig;
use crate::config::signing::SigningConfig;
use crate::config::{Config, SendPortConfig};
use crate::domain::{Timestamp, parse_mailbox};
use crate::smime::{
    CertificateFolder, HeaderProtected, Hide, Identity, Protection, Protector,
    RecipientCertificate, Sealer, Signer, WhenMissing,
};

/// What is known of a send port's protection, for people.
#[derive(Debug)]
pub struct ProtectionState {
    /// The section, such as `send_port.default.signing`.
    pub section: String,
    /// What it can do.
    pub facts: String,
    /// What works and should be known all the same.
    pub notes: Vec<String>,
}

/// The protection of every send port, or why it cannot be given; nothing for those without.
pub fn protection_states(config: &Config) -> Vec<Result<ProtectionState, AppError>> {
    let of_port = |(name, port): (&String, &SendPortConfig)| match protector(name, port) {
        Ok(protector) => states(name, port, &protector).into_iter().map(Ok).collect(),
        Err(error) => vec![Err(error)],
    };
    config.send_port.iter().flat_map(of_port).collect()
}

fn states(name: &str, port: &SendPortConfig, protector: &Protector) -> Vec<ProtectionState> {
    let now = system_clock().now();
    let signing = protector.signer.iter().map(|signer| ProtectionState {
        section: format!("send_port.{name}.signing"),
        facts: signer.identity().to_string(),
        notes: signer.identity().ends_soon(now).into_iter().collect(),
    });
    let encryption = protector.sealer.iter().map(|sealer| {
        let (facts, mut notes) = stock(sealer, now);
        notes.extend(open_header(protector).map(str::to_owned));
        notes.extend(policy_notes(port, protector.signer.is_some()));
        ProtectionState {
            section: format!("send_port.{name}.encryption"),
            facts,
            notes,
        }
    });
    signing.chain(encryption).collect()
}

/// Where its certificates come from, and what is wrong with those in the folder.
fn stock(sealer: &Sealer, now: Timestamp) -> (String, Vec<String>) {
    let Some(folder) = &sealer.folder else {
        let facts = "certificates of the database alone";
        return (facts.to_owned(), Vec::new());
    };
    // It was read a moment ago.
    let directory = folder.directory().unwrap_or_default();
    let mut notes = directory.unreadable.clone();
    notes.extend(directory.useless(now));
    let addresses = directory.addresses();
    let facts = format!(
        "certificates for {addresses} addresses in the folder, beside those of the database"
    );
    (facts, notes)
}

/// What is not hidden although it could be.
fn open_header(protector: &Protector) -> Option<&'static str> {
    match protector.headers.of(Protection::Encrypt) {
        HeaderProtected::No => Some(
            "the Subject of what is encrypted stays readable and changeable on the way, because header_protection.when is \"off\"",
        ),
        HeaderProtected::Cipher(Hide::None) => Some(
            "the Subject of what is encrypted stays readable on the way, because header_protection.hide is \"none\"",
        ),
        _ => None,
    }
}

/// What an operator chose and should know the price of.
fn policy_notes(port: &SendPortConfig, can_sign: bool) -> Vec<String> {
    const UNSIGNED: &str = "what is encrypted is not signed: its readers cannot tell who wrote it, and what CBC encrypted can be changed on the way without notice";
    const IN_CLEAR: &str = "when_missing = \"plaintext\": who has no usable certificate gets in clear text what others get encrypted";
    let encryption = port.encryption.as_ref();
    let in_clear = encryption.is_some_and(|it| it.when_missing == WhenMissing::Plaintext);
    let unsigned = match port.protection {
        Protection::Encrypt if can_sign => {
            Some(format!("{UNSIGNED}; write protection = \"sign+encrypt\""))
        }
        Protection::SignEncrypt => None,
        _ if can_sign => None,
        _ => Some(format!(
            "{UNSIGNED}; add the section signing and protection = \"sign+encrypt\""
        )),
    };
    unsigned
        .into_iter()
        .chain(in_clear.then(|| IN_CLEAR.to_owned()))
        .collect()
}

/// Reads what a send port signs with and encrypts to.
///
/// # Errors
/// [`AppError::Config`] naming the key.
pub(super) fn protector(name: &str, port: &SendPortConfig) -> Result<Protector, AppError> {
    let wrong = |section: &'static str| {
        move |what| AppError::Config(format!("send_port.{name}.{section}: {what}"))
    };
    let signer = port.signing.as_ref().map(|section| signer(port, section));
    let sealer = port.encryption.as_ref().map(sealer);
    Ok(Protector {
        signer: signer.transpose().map_err(wrong("signing"))?.map(Arc::new),
        sealer: sealer
            .transpose()
            .map_err(wrong("encryption"))?
            .map(Arc::new),
        headers: port.header_protection,
    })
}

fn signer(port: &SendPortConfig, section: &SigningConfig) -> Result<Signer, String> {
    let signer = Signer::new(identity(section)?, section.rules())?;
    let from = parse_mailbox(&port.from).map_err(|error| error.to_string())?;
    let checked = signer.check(&from.address, system_clock().now());
    let advice = "; correct from, or write match_from = false where readers need not agree";
    checked.map_err(|error| match error.is_transient() {
        true => error.to_string(),
        false => format!("{error}{advice}"),
    })?;
    Ok(signer)
}

fn identity(section: &SigningConfig) -> Result<Identity, String> {
    let password = section.password()?;
    let named = |key: &str, file: &Path, why: String| format!("{key} '{}': {why}", file.display());
    if let Some(file) = &section.pkcs12_file {
        let octets = read("pkcs12_file", file)?;
        let identity = Identity::from_pkcs12(&octets, password.expose());
        return identity.map_err(|why| named("pkcs12_file", file, why));
    }
    let certificate = section.certificate_file.as_deref();
    let certificate = certificate.ok_or("certificate_file: there is none")?;
    let key = section.key_file.as_deref().unwrap_or(certificate);
    let (certificates, key) = (
        read("certificate_file", certificate)?,
        read("key_file", key)?,
    );
    let identity = Identity::from_pem(&certificates, &key, password.expose());
    identity.map_err(|why| named("certificate_file", certificate, why))
}

fn sealer(section: &EncryptionConfig) -> Result<Sealer, String> {
    let folder = section.certificates_folder.as_deref();
    let folder = folder.map(CertificateFolder::new);
    if let Some(folder) = &folder {
        folder.directory()?;
    }
    let own = match &section.own_certificate_file {
        Some(file) => own_certificates(file)?,
        None => Vec::new(),
    };
    Ok(Sealer {
        cipher: section.cipher,
        rsa: section.rsa_padding,
        when_missing: section.when_missing,
        follow_capabilities: section.follow_capabilities,
        legacy: section.legacy,
        folder,
        own,
    })
}

fn own_certificates(file: &Path) -> Result<Vec<RecipientCertificate>, String> {
    let key = "own_certificate_file";
    let place = file.display().to_string();
    let read = RecipientCertificate::read(&read(key, file)?, &place);
    let read = read.map_err(|why| format!("{key} '{place}': {why}"))?;
    let now = system_clock().now();
    for certificate in &read {
        let usable = certificate.usable(now);
        usable.map_err(|why| format!("{key}: {why}"))?;
    }
    Ok(read)
}

fn read(key: &str, file: &Path) -> Result<secrecy::zeroize::Zeroizing<Vec<u8>>, String> {
    let octets = std::fs::read(file);
    let octets = octets.map_err(|why| format!("{key} '{}' cannot be read: {why}", file.display()));
    octets.map(secrecy::zeroize::Zeroizing::new)
}
