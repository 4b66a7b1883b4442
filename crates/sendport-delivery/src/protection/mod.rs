//! Which recipients can share an encrypted message, and with which certificates.
//!
//! In come an alert's recipients and what its send port demands. Out go
//! [`ProtectionPlan`](sendport_smime::ProtectionPlan) for each group, and the policy for recipients without a
//! usable certificate. The bytes are secured by [`sendport_smime`].

pub(crate) mod certificate_cache;
pub(crate) mod encryption_group;
pub(crate) mod missing_certificates;
pub(crate) mod securing;

pub use certificate_cache::CertificateCache;
pub use securing::ProtectionError;
