//! Chains of certificates up to an authority that is believed (RFC 5280 section 6).

use std::fs;
use std::path::Path;
use std::sync::Arc;

use openssl::error::ErrorStack;
use openssl::nid::Nid;
use openssl::stack::Stack;
use openssl::x509::store::X509StoreBuilder;
use openssl::x509::verify::{X509VerifyFlags, X509VerifyParam};
use openssl::x509::{
    X509, X509NameRef, X509PurposeId, X509Ref, X509StoreContext, X509VerifyResult,
};

use super::certificate::{KeyKind, RecipientCertificate};
use super::file_cache::FileCache;
use sendport_core::domain::Timestamp;

/// Numbers of OpenSSL's `X509_V_ERR_CRL_NOT_YET_VALID` and `X509_V_ERR_CRL_HAS_EXPIRED`.
const LIST_OUT_OF_TIME: [i32; 2] = [11, 12];

/// What `ca_file` held last that could be read.
#[derive(Debug, Default)]
pub(super) struct Authorities {
    file_cache: FileCache<Vec<X509>>,
    bundle: Arc<Bundle>,
    generation: u64,
    problem: Option<String>,
}

/// Who is believed, and who only stands between them and others.
#[derive(Debug, Default)]
pub(super) struct Bundle {
    anchors: Vec<X509>,
    links: Vec<X509>,
}

impl Authorities {
    /// What cannot be read does not replace what could.
    pub(super) fn look(&mut self, file: &Path) {
        if self.file_cache.is_fresh() {
            return;
        }
        let changed = self.file_cache.look([file.to_owned()], read);
        let missing = || {
            Err(format!(
                "ca_file '{}': there is no such file",
                file.display()
            ))
        };
        let held = self.file_cache.held().next().cloned();
        match held.unwrap_or_else(missing) {
            Ok(certificates) => {
                self.problem = None;
                if changed {
                    self.bundle = Arc::new(Bundle::new(certificates));
                    self.generation += 1;
                }
            }
            Err(why) => self.problem = Some(why),
        }
    }

    /// What is believed, and how often that changed.
    pub(super) fn current(&self) -> (Arc<Bundle>, u64) {
        (self.bundle.clone(), self.generation)
    }

    /// Why the file cannot be used now.
    pub(super) fn problem(&self) -> Option<String> {
        self.problem.clone()
    }
}

fn read(file: &Path) -> Result<Vec<X509>, String> {
    let shown = file.display();
    let pem = fs::read(file).map_err(|error| format!("ca_file '{shown}': {error}"))?;
    let found = X509::stack_from_pem(&pem).unwrap_or_default();
    match found.is_empty() {
        true => Err(format!(
            "ca_file '{shown}': expected certificates of authorities in PEM, found none"
        )),
        false => Ok(found),
    }
}

impl Bundle {
    /// Whose issuer stands in the same file is a link to it, and believed through it alone;
    /// everybody else is an anchor, a root or not.
    fn new(certificates: Vec<X509>) -> Self {
        let all = certificates.clone();
        let is_link = |it: &X509| {
            let issuers = all.iter().filter(|other| issued(other, it));
            !issued(it, it) && issuers.count() > 0
        };
        let (links, anchors) = certificates.into_iter().partition(is_link);
        Self { anchors, links }
    }

    /// How many are believed as they stand.
    pub(super) fn anchors(&self) -> usize {
        self.anchors.len()
    }

    /// From the certificate to an anchor.
    ///
    /// # Errors
    /// OpenSSL's reason, in words.
    pub(super) fn chain(
        &self,
        certificate: &RecipientCertificate,
        now: Timestamp,
    ) -> Result<Vec<X509>, String> {
        let failed = |error: ErrorStack| format!("OpenSSL failed: {error}");
        let mut store = X509StoreBuilder::new().map_err(failed)?;
        for anchor in &self.anchors {
            store.add_cert(anchor.clone()).map_err(failed)?;
        }
        let between = self.links.iter().chain(&*certificate.companions);
        let between: Vec<_> = between.cloned().collect();
        // OpenSSL's purpose asks for keyEncipherment, which keys on curves do not have.
        let purpose = match certificate.kind() {
            Some(KeyKind::Rsa) => Some(X509PurposeId::SMIME_ENCRYPT),
            _ => None,
        };
        let chain = verified(
            store,
            X509VerifyFlags::PARTIAL_CHAIN,
            &certificate.certificate,
            &between,
            purpose,
            now,
        );
        let chain = chain.map_err(|Refused(_, why)| why)?;
        let not_for_mail = chain.iter().find(|it| !sendport_x509::usage(it).email);
        match not_for_mail {
            None => Ok(chain),
            Some(link) => Err(format!(
                "{} is not for mail: its extendedKeyUsage lacks emailProtection",
                named(link.subject_name())
            )),
        }
    }
}

fn issued(issuer: &X509, subject: &X509) -> bool {
    issuer.issued(subject) == X509VerifyResult::OK
}

/// What OpenSSL found wrong, and the same in words.
pub(super) struct Refused(pub(super) i32, pub(super) String);

impl Refused {
    pub(super) fn is_list_out_of_time(&self) -> bool {
        LIST_OUT_OF_TIME.contains(&self.0)
    }
}

impl From<ErrorStack> for Refused {
    fn from(error: ErrorStack) -> Self {
        Self(-1, format!("OpenSSL failed: {error}"))
    }
}

/// The chain of a certificate up to somebody in `store`, as of `now`.
pub(super) fn verified(
    mut store: X509StoreBuilder,
    flags: X509VerifyFlags,
    certificate: &X509Ref,
    between: &[X509],
    purpose: Option<X509PurposeId>,
    now: Timestamp,
) -> Result<Vec<X509>, Refused> {
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
    let found = context.init(&store.build(), certificate, &untrusted, |it| {
        if it.verify_cert()? {
            let chain = it.chain().into_iter().flatten();
            return Ok(Ok(chain.map(ToOwned::to_owned).collect()));
        }
        let about = it.current_cert().map(|at| named(at.subject_name()));
        Ok(Err((it.error(), about)))
    })?;
    found.map_err(|(error, about)| {
        let about = about.map(|name| format!(" ({name})")).unwrap_or_default();
        Refused(error.as_raw(), format!("{}{about}", error.error_string()))
    })
}

/// Its common name, or what else names it.
pub(super) fn named(name: &X509NameRef) -> String {
    let entries = [
        Nid::COMMONNAME,
        Nid::ORGANIZATIONALUNITNAME,
        Nid::ORGANIZATIONNAME,
    ];
    let mut found = entries.iter().filter_map(|kind| {
        let text = name.entries_by_nid(*kind).next()?.data().to_string();
        text.ok().map(|text| format!("'{text}'"))
    });
    found
        .next()
        .unwrap_or_else(|| "somebody without a name".to_owned())
}
