//! Builds the protection of send ports from their files.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use sendport_core::domain::Timestamp;
use sendport_delivery::settings::{EncryptionConfig, SendPortConfig, SigningConfig};
use sendport_smime::{
    BoxError, CaFileError, CertificateFolder, CrlCache, CrlFiles, CrlSources, Encryptor,
    HeaderProtected, Hide, Identity, IdentityError, Protection, Protector, RecipientCertificate,
    RecipientCertificateError, Signer, SmimeError, Trust, WhenMissing,
};

use super::{AppError, SettingError, system_clock};
use crate::certificate_monitor;
use crate::config::{Config, section};

/// The note for a send port without `ca_file`.
const UNTRUSTED: &str = "without ca_file every certificate is trusted: write access to the table \
     Certificate or to certificates_folder decides who can read the email, and neither chains nor \
     CRLs are checked; name the authorities in ca_file";

/// Describes the protection of a send port.
#[derive(Debug)]
pub struct ProtectionState {
    /// The section, such as `send_port.default.signing`.
    pub section: String,
    /// Its capabilities.
    pub facts: String,
    /// Notes about a protection that works.
    pub notes: Vec<String>,
}

/// The protection of every send port that has one, or why it does not work. Downloads CRLs first,
/// unless `offline`.
pub async fn protection_states(
    config: &Config,
    offline: bool,
) -> Vec<Result<ProtectionState, AppError>> {
    let crl_cache = Arc::new(CrlCache::read_only(&crl_folder(config)));
    let made = config.send_port.iter().map(|(name, port)| {
        let protector = protector(name, port, &crl_cache);
        protector.map(|protector| (name.as_str(), port, protector))
    });
    let made: Vec<Result<_, AppError>> = made.collect();
    let states = loop {
        let ports = made.iter().map(Result::as_ref);
        let states = ports.map(|made| made.map(|(name, port, it)| states(name, port, it)).ok());
        let states: Vec<_> = states.collect();
        if offline || fetch_lists(&crl_cache).await == 0 {
            break states;
        }
    };
    let results = made.into_iter().zip(states);
    let results = results.flat_map(|(made, states)| match made {
        Ok(_) => states.unwrap_or_default(),
        Err(error) => vec![Err(error)],
    });
    results.collect()
}

/// Downloads the CRLs that were requested since the last call and returns their number: a chain may
/// request another one.
pub(super) async fn fetch_lists(crl_cache: &Arc<CrlCache>) -> usize {
    let mut fetches = tokio::task::JoinSet::new();
    for url in crl_cache.due(system_clock().now()) {
        let crl_cache = crl_cache.clone();
        fetches.spawn_blocking(move || {
            let answer = certificate_monitor::fetch(&url);
            crl_cache.record(&url, answer, system_clock().now())
        });
    }
    fetches.join_all().await.len()
}

fn states(
    name: &str,
    port: &SendPortConfig,
    protector: &Protector,
) -> Vec<Result<ProtectionState, AppError>> {
    let now = system_clock().now();
    let signing = protector.signer.iter().map(|signer| {
        let section = format!("{}.signing", section("send_port", name));
        let identity = signer.identity();
        let valid = identity.check_validity(now);
        valid.map_err(|error| AppError::config_at(&section, error))?;
        Ok(ProtectionState {
            section,
            facts: identity.to_string(),
            notes: identity.expiry_warning(now).into_iter().collect(),
        })
    });
    let encryption = protector.encryptor.iter().map(|encryptor| {
        let (facts, mut notes) = stock(encryptor, now);
        notes.extend(open_header(protector).map(str::to_owned));
        notes.extend(policy_notes(port, protector.signer.is_some()));
        Ok(ProtectionState {
            section: format!("{}.encryption", section("send_port", name)),
            facts,
            notes,
        })
    });
    signing.chain(encryption).collect()
}

/// Describes the sources of its certificates and its authorities, with their problems.
fn stock(encryptor: &Encryptor, now: Timestamp) -> (String, Vec<String>) {
    let mut notes = encryptor.unusable_own(now);
    // The folder has just been read.
    let directory = encryptor.folder.as_ref().map(CertificateFolder::directory);
    let directory = directory.transpose().unwrap_or_default();
    let place = match &directory {
        None => "certificates of the database alone".to_owned(),
        Some(directory) => {
            notes.extend(directory.unreadable.clone());
            notes.extend(directory.unusable(now));
            let addresses = directory.addresses();
            format!(
                "certificates for {addresses} addresses in the folder, beside those of the database"
            )
        }
    };
    let Some(trust) = &encryptor.trust else {
        notes.push(UNTRUSTED.to_owned());
        return (format!("{place}; all of them trusted"), notes);
    };
    notes.extend(trust.problems());
    trust.crls().request_urls(now);
    let untrusted = directory.iter().flat_map(|it| it.untrusted(trust, now));
    notes.extend(untrusted.map(|why| why.to_string()));
    (format!("{place}; {}", trust.summary()), notes)
}

/// Notes a Subject that could be hidden and is not.
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

/// Notes the consequences of settings.
fn policy_notes(port: &SendPortConfig, can_sign: bool) -> Vec<String> {
    const UNSIGNED: &str = "encrypted messages are not signed: their readers cannot verify the sender, and messages encrypted with CBC can be changed in transit without notice";
    const GCM: &str = "Thunderbird shows a message encrypted with AES-GCM as an empty message, without an error; write cipher = \"aes-256-cbc\" unless every recipient's email program is known to open it";
    const PLAINTEXT: &str = "when_missing = \"plaintext\": recipients without a usable certificate get the message unencrypted";
    let encryption = port.encryption.as_ref();
    let plaintext = encryption.is_some_and(|it| it.when_missing == WhenMissing::Plaintext);
    let gcm = encryption.filter(|it| it.cipher.authenticates());
    let gcm = gcm.map(|it| format!("cipher = \"{}\": {GCM}", it.cipher.as_str()));
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
        .chain(gcm)
        .chain(plaintext.then(|| PLAINTEXT.to_owned()))
        .collect()
}

/// Reads the identity and the certificates of a send port.
///
/// # Errors
/// [`AppError::Config`] naming the key.
pub(super) fn protector(
    name: &str,
    port: &SendPortConfig,
    crl_cache: &Arc<CrlCache>,
) -> Result<Protector, AppError> {
    let wrong = |key: &'static str| {
        move |what: BoxError| {
            AppError::config_at(format_args!("{}.{key}", section("send_port", name)), what)
        }
    };
    let signer = port.signing.as_ref().map(|section| signer(port, section));
    let encryptor = port
        .encryption
        .as_ref()
        .map(|section| encryptor(section, crl_cache));
    Ok(Protector {
        signer: signer.transpose().map_err(wrong("signing"))?.map(Arc::new),
        encryptor: encryptor
            .transpose()
            .map_err(wrong("encryption"))?
            .map(Arc::new),
        headers: port.header_protection,
    })
}

fn signer(port: &SendPortConfig, section: &SigningConfig) -> Result<Signer, BoxError> {
    let from = port.from.address.clone();
    let (section, rules) = (section.clone(), section.rules());
    let paths = section.paths();
    let read = move || {
        let identity = identity(&section)?;
        rules.check_key(&identity)?;
        let checked = rules.check_from(&identity, &from);
        checked.map_err(FromMismatch)?;
        Ok(identity)
    };
    Signer::from_files(paths, Box::new(read), rules)
}

/// From is no address of the certificate.
#[derive(Debug, thiserror::Error)]
#[error("{0}; correct from, or write match_from = false where readers need not agree")]
struct FromMismatch(#[source] SmimeError);

fn identity(section: &SigningConfig) -> Result<Identity, SettingError> {
    let password = section.password();
    let password = password.map_err(|error| SettingError::at("password", error))?;
    let named = |key: &str, file: &Path, error: IdentityError| {
        SettingError::at(format_args!("{key} '{}'", file.display()), error)
    };
    if let Some(file) = &section.pkcs12_file {
        let bytes = read("pkcs12_file", file)?;
        let identity = Identity::from_pkcs12(&bytes, password.expose());
        return identity.map_err(|error| named("pkcs12_file", file, error));
    }
    let certificate = section.certificate_file.as_deref();
    let certificate =
        certificate.ok_or_else(|| SettingError::at("certificate_file", "there is none"))?;
    let key = section.key_file.as_deref().unwrap_or(certificate);
    let (certificates, key) = (
        read("certificate_file", certificate)?,
        read("key_file", key)?,
    );
    let identity = Identity::from_pem(&certificates, &key, password.expose());
    identity.map_err(|error| named("certificate_file", certificate, error))
}

fn encryptor(section: &EncryptionConfig, crl_cache: &Arc<CrlCache>) -> Result<Encryptor, BoxError> {
    let folder = section.certificates_folder.as_deref();
    let folder = folder.map(CertificateFolder::new);
    if let Some(folder) = &folder {
        folder.directory()?;
    }
    let own = match &section.own_certificate_file {
        Some(file) => own_certificates(file)?,
        None => Vec::new(),
    };
    Ok(Encryptor {
        cipher: section.cipher,
        rsa: section.rsa_padding,
        when_missing: section.when_missing,
        follow_capabilities: section.follow_capabilities,
        legacy: section.legacy,
        folder,
        trust: trust(section, crl_cache)?.map(Arc::new),
        own,
    })
}

fn trust(
    section: &EncryptionConfig,
    crl_cache: &Arc<CrlCache>,
) -> Result<Option<Trust>, CaFileError> {
    let Some(bundle) = &section.ca_file else {
        return Ok(None);
    };
    let crls = CrlSources {
        files: CrlFiles::new(section.crl_files.clone(), section.crl_folder.clone()),
        urls: section.crl_urls.clone(),
        distribution_points: section.crl_distribution_points,
        cache: crl_cache.clone(),
    };
    let revocation = section.revocation.unwrap_or_default();
    Trust::new(bundle, revocation, crls).map(Some)
}

/// The authorities of each send port that names some.
///
/// # Errors
/// [`AppError::Config`]: the authorities of one cannot be read.
pub(super) fn trusts<'c>(
    config: &'c Config,
    crl_cache: &Arc<CrlCache>,
) -> Result<Vec<(&'c str, Trust)>, AppError> {
    let mut trusts = Vec::new();
    for (name, port) in &config.send_port {
        let Some(encryption) = &port.encryption else {
            continue;
        };
        let made = trust(encryption, crl_cache);
        let wrong = |error| {
            AppError::config_at(
                format_args!("{}.encryption", section("send_port", name)),
                error,
            )
        };
        trusts.extend(made.map_err(wrong)?.map(|trust| (name.as_str(), trust)));
    }
    Ok(trusts)
}

/// The folder of downloaded CRLs.
pub(super) fn crl_folder(config: &Config) -> PathBuf {
    config.service.state_folder.join("crl")
}

fn own_certificates(file: &Path) -> Result<Vec<RecipientCertificate>, SettingError> {
    let key = "own_certificate_file";
    let place = file.display().to_string();
    let read = RecipientCertificate::from_file(&read(key, file)?, &place);
    let read = read.map_err(|why| SettingError::at(format_args!("{key} '{place}'"), why))?;
    let now = system_clock().now();
    for certificate in &read {
        match certificate.check_usable(now) {
            // Messages are encrypted to all others without it.
            Ok(_)
            | Err(
                RecipientCertificateError::Expired(_) | RecipientCertificateError::NotYetValid(_),
            ) => {}
            Err(why) => return Err(SettingError::at(key, why)),
        }
    }
    Ok(read)
}

fn read(key: &str, file: &Path) -> Result<secrecy::zeroize::Zeroizing<Vec<u8>>, SettingError> {
    let bytes = sendport_core::regular_file::read(file);
    let bytes = bytes.map_err(|error| {
        SettingError::at(
            format_args!("{key} '{}' cannot be read", file.display()),
            error,
        )
    });
    bytes.map(secrecy::zeroize::Zeroizing::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_ciphers_that_thunderbird_cannot_open() {
        for (cipher, is_warned_of) in [
            ("aes-256-gcm", true),
            ("aes-128-gcm", true),
            ("aes-256-cbc", false),
        ] {
            let section = format!(
                "from = 'a@x.com'\nrelays = ['m']\nprotection = 'sign+encrypt'\n\
                 [encryption]\ncipher = '{cipher}'\n"
            );
            let port: SendPortConfig = toml::from_str(&section).expect("a send port");
            let notes = policy_notes(&port, true);
            let warns = |note: &String| note.contains(cipher) && note.contains("empty message");
            assert_eq!(notes.iter().any(warns), is_warned_of, "{notes:?}");
        }
    }
}
