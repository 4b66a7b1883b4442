//! Section `[send_port.<name>.encryption]`.

use std::path::PathBuf;

use sendport_core::problem::Problem;
use sendport_smime::{ContentCipher, Revocation, RsaEncryption, WhenMissing, is_http};
use serde::{Deserialize, Serialize};

/// The sources of recipients' certificates, and the algorithms of envelopes.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct EncryptionConfig {
    /// Folder of PEM and DER files, beside the database's certificates.
    pub certificates_folder: Option<PathBuf>,
    /// What to do if a recipient has no usable certificate.
    #[serde(default)]
    pub when_missing: WhenMissing,
    /// Content encryption algorithm.
    #[serde(default)]
    pub cipher: ContentCipher,
    /// Key transport with RSA keys.
    #[serde(default)]
    pub rsa_padding: RsaEncryption,
    /// PEM file of the sender's certificates, one for each kind of key, which can decrypt everything too.
    pub own_certificate_file: Option<PathBuf>,
    /// Use a stronger cipher for recipients whose capabilities announce it.
    #[serde(default = "follow_capabilities")]
    pub follow_capabilities: bool,
    /// Allow obsolete ciphers.
    #[serde(default)]
    pub legacy: bool,
    /// PEM file of trusted authorities; without it every certificate is trusted.
    pub ca_file: Option<PathBuf>,
    /// What to do with certificates of unknown revocation status.
    pub revocation: Option<Revocation>,
    /// CRL files, in PEM or DER.
    #[serde(default)]
    pub crl_files: Vec<PathBuf>,
    /// Folder of such files.
    pub crl_folder: Option<PathBuf>,
    /// HTTP URLs of CRLs.
    #[serde(default)]
    pub crl_urls: Vec<String>,
    /// Download CRLs from the distribution points in the certificates too.
    #[serde(default = "yes")]
    pub crl_distribution_points: bool,
}

fn yes() -> bool {
    true
}

fn follow_capabilities() -> bool {
    true
}

impl EncryptionConfig {
    /// Every path in it.
    pub fn paths(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        let folder = self.certificates_folder.iter_mut();
        folder
            .chain(&mut self.own_certificate_file)
            .chain(&mut self.ca_file)
            .chain(&mut self.crl_files)
            .chain(&mut self.crl_folder)
    }

    /// Its problems; `key` is that of the section.
    pub fn problems(&self, key: &str) -> Vec<Problem> {
        let problem = |below: &str, what: &str| Problem {
            key: format!("{key}.{below}"),
            what: what.to_owned(),
        };
        let mut found = Vec::new();
        let folder = self.certificates_folder.as_deref();
        if folder.is_some_and(|folder| folder.as_os_str().is_empty()) {
            found.push(problem(
                "certificates_folder",
                "it is empty; write the path of a folder with recipients' certificates, or leave \
                 it out where all of them are in the database",
            ));
        }
        if self.cipher == ContentCipher::TripleDes && !self.legacy {
            found.push(problem(
                "cipher",
                "\"3des-cbc\" is broken; leave it out, or write legacy = true, too, where the \
                 recipients can read nothing else",
            ));
        }
        found.extend(
            self.trust_problems()
                .map(|(below, what)| problem(below, what)),
        );
        found
    }

    fn trust_problems(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        let lists = !(self.crl_files.is_empty() && self.crl_urls.is_empty());
        let asked = lists || self.crl_folder.is_some();
        let revocation = self.revocation;
        let unasked = revocation == Some(Revocation::Off) && asked;
        let unanchored =
            self.ca_file.is_none() && (asked || revocation.is_some_and(|it| it != Revocation::Off));
        let strange = !self.crl_urls.iter().all(|url| is_http(url));
        let rules = [
            (
                unanchored,
                "ca_file",
                "revocation is asked of the authorities that vouch for recipients; write a PEM file \
                 of their certificates",
            ),
            (
                unasked,
                "revocation",
                "\"off\" asks none of crl_files, crl_folder and crl_urls; leave them out, or write \
                 \"soft\" or \"hard\"",
            ),
            (
                strange,
                "crl_urls",
                "expected addresses that begin with http:// or https://",
            ),
        ];
        let broken = rules.into_iter().filter(|(broken, ..)| *broken);
        broken.map(|(_, below, what)| (below, what))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broken_algorithms_need_legacy() {
        let found = |text: &str| {
            let section: EncryptionConfig = toml::from_str(text).unwrap();
            section.problems("e").len()
        };
        assert_eq!(found(""), 0);
        assert_eq!(found("certificates_folder = 'c'"), 0);
        assert_eq!(found("certificates_folder = ''"), 1);
        assert_eq!(found("certificates_folder = 'c'\ncipher = '3des-cbc'"), 1);
        let legacy = "certificates_folder = 'c'\ncipher = '3des-cbc'\nlegacy = true";
        assert_eq!(found(legacy), 0);
    }

    #[test]
    fn revocation_is_asked_of_authorities() {
        let found = |text: &str| {
            let text = format!("certificates_folder = 'c'\n{text}");
            let section: EncryptionConfig = toml::from_str(&text).unwrap();
            let problems = section.problems("e").into_iter();
            problems.map(|problem| problem.key).collect::<Vec<_>>()
        };
        assert_eq!(found("ca_file = 'a'\ncrl_urls = ['HTTP://x/y']"), [""; 0]);
        assert_eq!(found("revocation = 'off'"), [""; 0]);
        assert_eq!(found("revocation = 'hard'"), ["e.ca_file"]);
        assert_eq!(found("crl_folder = 'a'"), ["e.ca_file"]);
        let off = "ca_file = 'a'\nrevocation = 'off'\ncrl_files = ['b']";
        assert_eq!(found(off), ["e.revocation"]);
        let ftp = "ca_file = 'a'\ncrl_urls = ['ftp://x/y']";
        assert_eq!(found(ftp), ["e.crl_urls"]);
    }
}
