//! Certificate chains up to a trusted authority (RFC 5280 section 6).

use std::path::{Path, PathBuf};
use std::sync::Arc;

use openssl::error::ErrorStack;
use openssl::nid::Nid;
use openssl::stack::Stack;
use openssl::x509::store::X509StoreBuilder;
use openssl::x509::verify::{X509VerifyFlags, X509VerifyParam};
use openssl::x509::{
    X509, X509NameRef, X509PurposeId, X509Ref, X509StoreContext, X509VerifyResult,
};
use sendport_core::domain::Timestamp;
use sendport_core::file_watch::{FileCache, IoError};
use sendport_core::regular_file;

use super::certificate::{KeyKind, RecipientCertificate};

/// OpenSSL's `X509_V_ERR_CRL_NOT_YET_VALID` and `X509_V_ERR_CRL_HAS_EXPIRED`.
const CRL_OUT_OF_TIME: [i32; 2] = [11, 12];

/// The last readable content of `ca_file`.
#[derive(Debug, Default)]
pub(super) struct Authorities {
    file: FileCache<Vec<X509>, CaFileError>,
    bundle: Arc<Bundle>,
    generation: u64,
    error: Option<CaFileError>,
}

/// Trusted authorities, and the intermediate certificates that link to them.
#[derive(Debug, Default)]
pub(super) struct Bundle {
    anchors: Vec<X509>,
    links: Vec<X509>,
}

/// Why `ca_file` cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CaFileError {
    /// It does not exist.
    #[error("ca_file '{}': there is no such file", .0.display())]
    Missing(PathBuf),
    /// It cannot be read.
    #[error("ca_file '{}': {error}", .file.display())]
    Io {
        /// The file.
        file: PathBuf,
        /// Why.
        #[source]
        error: IoError,
    },
    /// It holds something else.
    #[error("ca_file '{}': expected certificates of authorities in PEM, found none", .0.display())]
    NoCertificates(PathBuf),
}

impl Authorities {
    /// Reads the file where it changed. An unreadable file does not replace what was read before.
    pub(super) fn refresh(&mut self, file: &Path) {
        if self.file.is_fresh() {
            return;
        }
        let changed = self.file.refresh([file.to_owned()], parse);
        let parsed = self.file.values().next().cloned();
        match parsed.unwrap_or_else(|| Err(CaFileError::Missing(file.to_owned()))) {
            Ok(certificates) => {
                self.error = None;
                if changed {
                    self.bundle = Arc::new(Bundle::new(certificates));
                    self.generation += 1;
                }
            }
            Err(error) => self.error = Some(error),
        }
    }

    /// The trusted authorities, and how often they changed.
    pub(super) fn current(&self) -> (Arc<Bundle>, u64) {
        (self.bundle.clone(), self.generation)
    }

    /// Why the present content of the file cannot be used.
    pub(super) fn error(&self) -> Option<CaFileError> {
        self.error.clone()
    }
}

fn parse(file: &Path) -> Result<Vec<X509>, CaFileError> {
    let pem = regular_file::read(file);
    let pem = pem.map_err(|error| CaFileError::Io {
        file: file.to_owned(),
        error: error.into(),
    })?;
    let certificates = X509::stack_from_pem(&pem).unwrap_or_default();
    match certificates.is_empty() {
        true => Err(CaFileError::NoCertificates(file.to_owned())),
        false => Ok(certificates),
    }
}

/// Why there is no chain.
#[derive(Debug, Clone, thiserror::Error)]
pub(super) enum ChainError {
    /// OpenSSL's verdict, and the certificate that it is about.
    #[error("{reason}{}", .subject.as_ref().map(|name| format!(" ({name})")).unwrap_or_default())]
    Invalid {
        /// One of `X509_V_ERR_*`.
        code: i32,
        /// Its text.
        reason: &'static str,
        /// The certificate at fault.
        subject: Option<String>,
    },
    #[error("{0} is not for mail: its extendedKeyUsage lacks emailProtection")]
    NotForEmail(String),
    #[error("OpenSSL failed: {0}")]
    OpenSsl(#[from] ErrorStack),
}

impl ChainError {
    /// Every CRL is expired or not valid yet.
    pub(super) fn is_crl_out_of_time(&self) -> bool {
        matches!(self, Self::Invalid { code, .. } if CRL_OUT_OF_TIME.contains(code))
    }
}

impl Bundle {
    /// A certificate whose issuer is in the same file is a link, trusted only through its issuer;
    /// every other certificate is an anchor, a root or not.
    fn new(certificates: Vec<X509>) -> Self {
        let all = certificates.clone();
        let is_link = |it: &X509| {
            let issuers = all.iter().filter(|other| issued(other, it));
            !issued(it, it) && issuers.count() > 0
        };
        let (links, anchors) = certificates.into_iter().partition(is_link);
        Self { anchors, links }
    }

    /// How many authorities are trusted without a chain.
    pub(super) fn anchors(&self) -> usize {
        self.anchors.len()
    }

    /// The chain from the certificate to an anchor.
    ///
    /// # Errors
    /// [`ChainError`].
    pub(super) fn chain(
        &self,
        certificate: &RecipientCertificate,
        now: Timestamp,
    ) -> Result<Vec<X509>, ChainError> {
        let mut store = X509StoreBuilder::new()?;
        for anchor in &self.anchors {
            store.add_cert(anchor.clone())?;
        }
        let between = self.links.iter().chain(&*certificate.companions);
        let between: Vec<_> = between.cloned().collect();
        // OpenSSL's purpose requires keyEncipherment, which EC keys do not have.
        let purpose = match certificate.kind() {
            Some(KeyKind::Rsa) => Some(X509PurposeId::SMIME_ENCRYPT),
            _ => None,
        };
        let chain = verify(
            store,
            X509VerifyFlags::PARTIAL_CHAIN,
            &certificate.certificate,
            &between,
            purpose,
            now,
        )?;
        let not_for_email = chain.iter().find(|it| !sendport_x509::usage(it).email);
        match not_for_email {
            None => Ok(chain),
            Some(link) => Err(ChainError::NotForEmail(display_name(link.subject_name()))),
        }
    }
}

fn issued(issuer: &X509, subject: &X509) -> bool {
    issuer.issued(subject) == X509VerifyResult::OK
}

/// The chain of a certificate up to one in `store`, verified as of `now`.
pub(super) fn verify(
    mut store: X509StoreBuilder,
    flags: X509VerifyFlags,
    certificate: &X509Ref,
    between: &[X509],
    purpose: Option<X509PurposeId>,
    now: Timestamp,
) -> Result<Vec<X509>, ChainError> {
    let mut parameters = X509VerifyParam::new()?;
    parameters.set_flags(flags)?;
    parameters.set_time(now.timestamp());
    if let Some(purpose) = purpose {
        parameters.set_purpose(purpose)?;
    }
    store.set_param(&parameters)?;
    let mut untrusted = Stack::new()?;
    for link in between {
        untrusted.push(link.clone())?;
    }
    let mut context = X509StoreContext::new()?;
    let verified = context.init(&store.build(), certificate, &untrusted, |it| {
        if it.verify_cert()? {
            let chain = it.chain().into_iter().flatten();
            return Ok(Ok(chain.map(ToOwned::to_owned).collect()));
        }
        let subject = it.current_cert().map(|at| display_name(at.subject_name()));
        Ok(Err((it.error(), subject)))
    })?;
    verified.map_err(|(error, subject)| ChainError::Invalid {
        code: error.as_raw(),
        reason: error.error_string(),
        subject,
    })
}

/// The common name in quotes, else the organizational unit or organization.
pub(super) fn display_name(name: &X509NameRef) -> String {
    let entries = [
        Nid::COMMONNAME,
        Nid::ORGANIZATIONALUNITNAME,
        Nid::ORGANIZATIONNAME,
    ];
    let mut names = entries.iter().filter_map(|kind| {
        let text = name.entries_by_nid(*kind).next()?.data().to_string();
        text.ok().map(|text| format!("'{text}'"))
    });
    names
        .next()
        .unwrap_or_else(|| "an authority without a name".to_owned())
}
