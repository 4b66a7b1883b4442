//! Section `[send_port.<name>.signing]`.

use std::path::PathBuf;

use sendport_core::problem::Problem;
use sendport_core::secret::Secret;
use sendport_core::secret_source::SecretError;
use sendport_smime::{Digest, RsaSignature, SignatureForm, SigningRules};
use serde::{Deserialize, Serialize};

/// The identity, and the form of its signatures.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct SigningConfig {
    /// PEM file of the certificate, followed by its chain.
    pub certificate_file: Option<PathBuf>,
    /// PEM file of its private key; default: the key is in `certificate_file`.
    pub key_file: Option<PathBuf>,
    /// PKCS #12 file of certificate, key and chain, instead of the two.
    pub pkcs12_file: Option<PathBuf>,
    /// File that holds the password of the key or of the PKCS #12 file.
    pub password_file: Option<PathBuf>,
    /// Environment variable that holds it.
    pub password_env: Option<String>,
    /// Clear or opaque.
    #[serde(default)]
    pub form: SignatureForm,
    /// Digest algorithm; default: the one that matches the key.
    pub digest: Option<Digest>,
    /// For RSA keys.
    #[serde(default)]
    pub rsa_padding: RsaSignature,
    /// The chain goes along with our certificate.
    #[serde(default = "yes")]
    pub chain: bool,
    /// From has to be an address of the certificate.
    #[serde(default = "yes")]
    pub match_from: bool,
}

impl SigningConfig {
    /// How to sign.
    pub fn rules(&self) -> SigningRules {
        SigningRules {
            form: self.form,
            digest: self.digest,
            rsa: self.rsa_padding,
            chain: self.chain,
            match_from: self.match_from,
        }
    }

    /// The password of the key; empty if there is none.
    ///
    /// # Errors
    /// [`SecretError`] names the file or the variable.
    pub fn password(&self) -> Result<Secret, SecretError> {
        let (file, variable) = (self.password_file.as_deref(), self.password_env.as_deref());
        let found = Secret::from_file_or_env(file, variable)?;
        Ok(found.unwrap_or_else(|| Secret::new(String::new())))
    }

    /// The files to watch for a new identity.
    pub fn paths(&self) -> Vec<PathBuf> {
        self.clone().files().map(|file| file.clone()).collect()
    }

    /// Every file that it names.
    pub fn files(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        let files = [
            &mut self.certificate_file,
            &mut self.key_file,
            &mut self.pkcs12_file,
            &mut self.password_file,
        ];
        files.into_iter().flatten()
    }

    /// Its problems; `key` is that of the section.
    pub fn problems(&self, key: &str) -> Vec<Problem> {
        let certificate = self.certificate_file.is_some();
        let pkcs12 = self.pkcs12_file.is_some();
        let passwords = self.password_file.is_some() && self.password_env.is_some();
        let rules = [
            (
                certificate == pkcs12,
                "certificate_file",
                "name one: certificate_file (PEM, and key_file), or pkcs12_file",
            ),
            (
                pkcs12 && self.key_file.is_some(),
                "key_file",
                "the key is in pkcs12_file; leave it out",
            ),
            (
                passwords,
                "password_file",
                "password_file and password_env are given; give one",
            ),
        ];
        let broken = rules.into_iter().filter(|(broken, ..)| *broken);
        let problem = |(_, below, what): (bool, &str, &str)| Problem {
            key: format!("{key}.{below}"),
            what: what.to_owned(),
        };
        broken.map(problem).collect()
    }
}

fn yes() -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_comes_from_one_place() {
        let found = |text: &str| {
            let section: SigningConfig = toml::from_str(text).unwrap();
            let problems = section.problems("s").into_iter();
            problems.map(|problem| problem.key).collect::<Vec<_>>()
        };
        assert_eq!(found("certificate_file = 'a'\npassword_env = 'B'"), [""; 0]);
        assert_eq!(found(""), ["s.certificate_file"]);
        assert_eq!(
            found("certificate_file = 'a'\npkcs12_file = 'b'\nkey_file = 'c'"),
            ["s.certificate_file", "s.key_file"]
        );
        assert_eq!(
            found("pkcs12_file = 'b'\npassword_file = 'c'\npassword_env = 'D'"),
            ["s.password_file"]
        );
    }
}
