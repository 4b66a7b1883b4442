//! The recipients' certificates at hand: what stands in the database, asked for each alert, so that
//! what is revoked or removed is out at once; and certificates that were read lately, because
//! reading one takes longer than asking for it.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::NotComposed;
use super::compose::unread;
use super::securing::{NotSecured, in_background};
use crate::domain::{CertificateEntry, CertificateId, Timestamp};
use crate::smime::{Candidate, Encryptor, Found, RecipientCertificate, SmimeError, address_key};
use crate::store::certificates::CertificateStore;

/// Most certificates that are kept read, some 8 KiB each.
const MOST: usize = 2048;

/// What the column `Pem` is read as.
type Read = Result<Arc<RecipientCertificate>, String>;

/// Where recipients' certificates come from. Used by many tasks at the same time.
pub struct CertificateCache {
    store: Option<Arc<dyn CertificateStore>>,
    kept: Mutex<Kept>,
}

/// By the text that each was read from, with when it was used last. What a row says of its
/// certificate is compared each time.
#[derive(Default)]
struct Kept {
    read: HashMap<String, (Arc<RecipientCertificate>, u64)>,
    uses: u64,
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
            kept: Mutex::default(),
        }
    }

    /// The certificate of each address, in their order.
    ///
    /// # Errors
    /// [`NotComposed`]: the database or the folder cannot be asked now.
    pub async fn find(
        self: &Arc<Self>,
        sealer: Arc<Encryptor>,
        addresses: Vec<String>,
        now: Timestamp,
    ) -> Result<Vec<Found>, NotComposed> {
        let (entries, pems) = self.stored(&addresses).await?;
        let shelf = self.clone();
        let looked_up = in_background(move || {
            let of_database = shelf.candidates(&entries, &pems);
            sealer.certificates(&addresses, &of_database, now)
        });
        let found = looked_up.await.and_then(|found| found);
        Ok(found.map_err(NotSecured::from)?)
    }

    /// What stands about certificates for these addresses, and what those that are not revoked are
    /// read from.
    async fn stored(
        &self,
        addresses: &[String],
    ) -> Result<(Vec<CertificateEntry>, HashMap<CertificateId, String>), NotComposed> {
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

    /// By address. A row that went away between two questions is not there.
    fn candidates(
        &self,
        entries: &[CertificateEntry],
        pems: &HashMap<CertificateId, String>,
    ) -> HashMap<String, Vec<Candidate>> {
        let mut candidates: HashMap<String, Vec<Candidate>> = HashMap::new();
        for entry in entries {
            let Some(read) = self.read(entry, pems) else {
                continue;
            };
            let read = read.as_deref().map_err(Clone::clone);
            let candidate = Candidate::of_entry(entry, read);
            let of_address = candidates.entry(entry.address.clone()).or_default();
            of_address.push(candidate);
        }
        candidates
    }

    fn read(
        &self,
        entry: &CertificateEntry,
        pems: &HashMap<CertificateId, String>,
    ) -> Option<Read> {
        if entry.revoked.is_some() {
            return Some(Err("it is revoked".to_owned()));
        }
        let pem = pems.get(&entry.id)?;
        if let Some(kept) = self.kept().find(pem) {
            return Some(Ok(kept));
        }
        let read = RecipientCertificate::of_pem(pem);
        Some(read.map(|read| {
            let read = Arc::new(read);
            self.kept().keep(pem, read.clone());
            read
        }))
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Nothing is sent while the database cannot be asked, whatever the reason.
fn waits(error: crate::store::StoreError) -> NotComposed {
    const WHAT: &str = "its recipients' certificates";
    if error.is_transient() {
        return unread(WHAT, error);
    }
    let why = format!("{WHAT} cannot be read: {error}");
    NotSecured::from(SmimeError::NotNow(why)).into()
}

impl Kept {
    fn find(&mut self, pem: &str) -> Option<Arc<RecipientCertificate>> {
        self.uses += 1;
        let (found, used) = self.read.get_mut(pem)?;
        *used = self.uses;
        Some(found.clone())
    }

    fn keep(&mut self, pem: &str, read: Arc<RecipientCertificate>) {
        if self.read.len() >= MOST {
            let oldest = self.read.iter().min_by_key(|(_, (_, used))| *used);
            if let Some(oldest) = oldest.map(|(pem, _)| pem.clone()) {
                self.read.remove(&oldest);
            }
        }
        self.read.insert(pem.to_owned(), (read, self.uses));
    }
}

#[cfg(test)]
#[path = "keyring_tests.rs"]
mod tests;
