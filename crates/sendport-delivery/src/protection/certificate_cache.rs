//! Recipients' certificates of the database. The rows are queried for every alert, so a revoked or
//! removed certificate is out at once; parsed certificates are cached, because parsing takes longer
//! than the query.

use std::collections::{HashMap, HashSet};
use std::num::NonZeroUsize;
use std::sync::Arc;

use lru::LruCache;
use parking_lot::Mutex;
use sendport_core::domain::{CertificateEntry, CertificateId, Timestamp};
use sendport_smime::{
    Candidate, CertificateLookup, CertificateReadError, Encryptor, RecipientCertificate,
    SmimeError, address_key,
};
use sendport_store::certificates::CertificateStore;

use super::securing::{ProtectionError, in_background};
use crate::ComposeError;

/// Most parsed certificates that are cached, some 8 KiB each.
const CAPACITY: NonZeroUsize = NonZeroUsize::new(2048).expect("not zero");

/// The column `Pem`, parsed.
type ParseResult = Result<Arc<RecipientCertificate>, CertificateReadError>;

/// Where recipients' certificates come from. Used by many tasks at the same time.
pub struct CertificateCache {
    store: Option<Arc<dyn CertificateStore>>,
    /// By the text of the column `Pem`; the other columns of a row are compared each time.
    parsed: Mutex<LruCache<String, Arc<RecipientCertificate>>>,
}

impl CertificateCache {
    /// Those of a database, beside what a send port finds in its folder.
    pub fn new(store: Arc<dyn CertificateStore>) -> Self {
        Self {
            store: Some(store),
            ..Self::of_folders()
        }
    }

    /// Those of the send ports' folders alone.
    pub fn of_folders() -> Self {
        Self {
            store: None,
            parsed: Mutex::new(LruCache::new(CAPACITY)),
        }
    }

    /// The certificate of each address, in their order.
    ///
    /// # Errors
    /// [`ComposeError`]: the database or the folder cannot be asked now.
    pub async fn find(
        self: &Arc<Self>,
        encryptor: Arc<Encryptor>,
        addresses: Vec<String>,
        now: Timestamp,
    ) -> Result<Vec<CertificateLookup>, ComposeError> {
        let (entries, pems) = self.stored(&addresses).await?;
        let cache = self.clone();
        let looked_up = in_background(move || {
            let of_database = cache.candidates(&entries, &pems);
            encryptor.certificates(&addresses, &of_database, now)
        });
        let found = looked_up.await.and_then(|found| found);
        Ok(found.map_err(ProtectionError::from)?)
    }

    /// The rows of certificates for these addresses, and the column `Pem` of those that are not
    /// revoked.
    async fn stored(
        &self,
        addresses: &[String],
    ) -> Result<(Vec<CertificateEntry>, HashMap<CertificateId, String>), ComposeError> {
        let Some(store) = &self.store else {
            return Ok(Default::default());
        };
        let wanted: HashSet<_> = addresses.iter().map(|it| address_key(it)).collect();
        let wanted: Vec<_> = wanted.into_iter().collect();
        let entries = store.certificate_entries(&wanted).await.map_err(waits)?;
        let used = entries.iter().filter(|it| it.revoked.is_none());
        let used: Vec<_> = used.map(|it| it.id).collect();
        if used.is_empty() {
            return Ok((entries, HashMap::new()));
        }
        let pems = store.certificate_pems(&used).await.map_err(waits)?;
        Ok((entries, pems.into_iter().collect()))
    }

    /// By address. A row that was deleted between the two queries is left out.
    fn candidates(
        &self,
        entries: &[CertificateEntry],
        pems: &HashMap<CertificateId, String>,
    ) -> HashMap<String, Vec<Candidate>> {
        let mut candidates: HashMap<String, Vec<Candidate>> = HashMap::new();
        for entry in entries {
            let candidate = match (&entry.revoked, pems.get(&entry.id)) {
                (Some(revoked), _) => Candidate::from_revoked_row(entry, revoked),
                (None, Some(pem)) => {
                    let parsed = self.parse(pem);
                    Candidate::from_row(entry, parsed.as_deref().map_err(Clone::clone))
                }
                (None, None) => continue,
            };
            let of_address = candidates.entry(entry.address.clone()).or_default();
            of_address.push(candidate);
        }
        candidates
    }

    fn parse(&self, pem: &str) -> ParseResult {
        let cache = || self.parsed.lock();
        if let Some(cached) = cache().get(pem) {
            return Ok(cached.clone());
        }
        let parsed = RecipientCertificate::from_pem(pem);
        parsed.map(|parsed| {
            let parsed = Arc::new(parsed);
            cache().put(pem.to_owned(), parsed.clone());
            parsed
        })
    }
}

/// While the database does not answer, nothing is sent, whatever the reason.
fn waits(error: sendport_store::StoreError) -> ComposeError {
    const WHAT: &str = "its recipients' certificates";
    if error.is_transient() {
        return ComposeError::unread(WHAT, error);
    }
    ProtectionError::from(SmimeError::CertificateStore(Arc::new(error))).into()
}

#[cfg(test)]
#[path = "certificate_cache_tests.rs"]
mod tests;
