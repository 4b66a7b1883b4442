//! Finds recipients of failure digests who have no usable certificate.

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
        let missing = missing_certificates(name, port, &cache, &lists).await;
        let section = format!("{}.notify_failures_to", section("send_port", name));
        sentences.extend(missing.into_iter().map(|why| (section.clone(), why)));
    }
    sentences
}

/// Problems of the protection itself are reported elsewhere.
async fn missing_certificates(
    name: &str,
    port: &SendPortConfig,
    cache: &Arc<CertificateCache>,
    lists: &Arc<CrlCache>,
) -> Vec<String> {
    let recipients = port.notify_failures_to.as_ref();
    let recipients = recipients.filter(|_| port.protection.encrypts());
    let encryptor = protector(name, port, lists)
        .ok()
        .and_then(|it| it.encryptor);
    let (Some(recipients), Some(encryptor)) = (recipients, encryptor) else {
        return Vec::new();
    };
    let addresses: Vec<_> = recipients.addresses().map(ToString::to_string).collect();
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
