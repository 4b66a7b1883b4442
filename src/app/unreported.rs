//! Who is to be told of failures and cannot be, because what tells them is encrypted.

use std::sync::Arc;

use super::protectors::{crl_folder, fetch_lists, protector};
use super::system_clock;
use crate::config::{Config, SendPortConfig, section};
use crate::delivery::ComposeError;
use crate::delivery::protection::CertificateCache;
use crate::domain::parse_address_list;
use crate::smime::CrlCache;
use crate::store::Store;

/// A sentence for each address of `notify_failures_to` that has no usable certificate, where the
/// send port encrypts, with the section that it is about.
pub async fn unreported(config: &Config, store: &Arc<dyn Store>) -> Vec<(String, String)> {
    let cache = Arc::new(CertificateCache::new(store.clone()));
    let lists = Arc::new(CrlCache::read_only(&crl_folder(config)));
    let mut sentences = Vec::new();
    for (name, port) in &config.send_port {
        let lacking = lacking(name, port, &cache, &lists).await;
        let section = format!("{}.notify_failures_to", section("send_port", name));
        sentences.extend(lacking.into_iter().map(|why| (section.clone(), why)));
    }
    sentences
}

/// What keeps the protection itself from working is said elsewhere.
async fn lacking(
    name: &str,
    port: &SendPortConfig,
    cache: &Arc<CertificateCache>,
    lists: &Arc<CrlCache>,
) -> Vec<String> {
    let told = port.notify_failures_to.as_deref();
    let told = told.filter(|_| port.protection.encrypts());
    let encryptor = protector(name, port, lists)
        .ok()
        .and_then(|it| it.encryptor);
    let (Some(told), Some(encryptor)) = (told, encryptor) else {
        return Vec::new();
    };
    let told = parse_address_list(told).into_iter().flatten();
    let addresses: Vec<_> = told.map(|mailbox| mailbox.address).collect();
    loop {
        let now = system_clock().now();
        match cache.find(encryptor.clone(), addresses.clone(), now).await {
            Ok(found) => {
                let lacking = found.into_iter().filter_map(Result::err);
                return lacking.map(|why| why.to_string()).collect();
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
