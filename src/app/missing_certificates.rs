//! Finds addresses without a usable certificate: recipients of failure digests, and the address of a redirect.

use std::sync::Arc;

use sendport_delivery::ComposeError;
use sendport_delivery::protection::CertificateCache;
use sendport_delivery::settings::SendPortConfig;
use sendport_smime::CrlCache;
use sendport_store::Store;

use super::protection::{crl_folder, fetch_lists, protector};
use super::system_clock;
use crate::config::{Config, section};

/// For each address of `notify_failures_to` without a usable certificate, if the send port encrypts:
/// the key, and a sentence.
pub async fn digest_recipients_without_certificate(
    config: &Config,
    store: &Arc<dyn Store>,
) -> Vec<(String, String)> {
    let cache = Arc::new(CertificateCache::new(store.clone()));
    let lists = Arc::new(CrlCache::read_only(&crl_folder(config)));
    let mut sentences = Vec::new();
    for (name, port) in &config.send_port {
        let recipients = port.notify_failures_to.iter();
        let addresses = recipients.flat_map(|it| it.addresses().map(ToString::to_string));
        let missing = missing_certificates((name, port), addresses.collect(), &cache, &lists).await;
        let section = format!("{}.notify_failures_to", section("send_port", name));
        sentences.extend(missing.into_iter().map(|why| (section.clone(), why)));
    }
    sentences
}

/// For each send port that encrypts and has no usable certificate for the address of a redirect: its name, and a
/// sentence. `only`: the one that the redirect is about.
pub async fn redirect_address_without_certificate(
    config: &Config,
    store: &Arc<dyn Store>,
    address: &str,
    only: Option<&str>,
) -> Vec<(String, String)> {
    let cache = Arc::new(CertificateCache::new(store.clone()));
    let lists = Arc::new(CrlCache::read_only(&crl_folder(config)));
    let mut sentences = Vec::new();
    let is_meant = |name: &str| only.is_none_or(|only| only.trim_end() == name);
    for (name, port) in config.send_port.iter().filter(|(name, _)| is_meant(name)) {
        let addresses = vec![address.to_owned()];
        let missing = missing_certificates((name, port), addresses, &cache, &lists).await;
        sentences.extend(missing.into_iter().map(|why| (name.clone(), why)));
    }
    sentences
}

/// Problems of the protection itself are reported elsewhere.
async fn missing_certificates(
    (name, port): (&str, &SendPortConfig),
    addresses: Vec<String>,
    cache: &Arc<CertificateCache>,
    lists: &Arc<CrlCache>,
) -> Vec<String> {
    if addresses.is_empty() || !port.protection.encrypts() {
        return Vec::new();
    }
    let encryptor = protector(name, port, lists)
        .ok()
        .and_then(|it| it.encryptor);
    let Some(encryptor) = encryptor else {
        return Vec::new();
    };
    loop {
        let now = system_clock().now();
        match cache.find(encryptor.clone(), addresses.clone(), now).await {
            Ok(found) => {
                let missing = found.into_iter().filter_map(Result::err);
                return missing.map(|why| why.to_string()).collect();
            }
            Err(_) if fetch_lists(lists).await > 0 => {}
            Err(why) => return vec![unknown(why)],
        }
    }
}

fn unknown(why: ComposeError) -> String {
    match why {
        ComposeError::Never(refusal) => refusal.reason,
        ComposeError::NotNow { what, error } => format!("{what}: {error}"),
        ComposeError::Unprotected { why, .. } => why,
        ComposeError::Deferred(_, why) => why.unwrap_or_default(),
    }
}
