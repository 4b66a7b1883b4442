//! Says in good time that recipients' certificates end: in `EventLog`, once for each certificate and
//! number of days, whichever instance comes first.

use std::sync::Arc;
use std::time::Duration;

use sendport_core::clock::utc_text;
use sendport_core::domain::{ExpiringCertificate, InstanceId};
use sendport_store::{Event, EventSeverity, Store, StoreError};

use crate::observer::{WorkerActivity, WorkerObserver};

/// With so many days left it is said again.
const STAGES: [u32; 5] = [1, 7, 14, 30, 60];

/// Days change slowly.
const LOOK_EVERY: Duration = Duration::from_secs(15 * 60);

/// After a look that failed.
const AGAIN: Duration = Duration::from_secs(60);

/// What looks.
pub(super) struct ExpiryWatch {
    pub(super) store: Arc<dyn Store>,
    pub(super) instance: InstanceId,
    pub(super) observer: Arc<dyn WorkerObserver>,
}

impl ExpiryWatch {
    /// Looks until it is dropped.
    pub(super) async fn run(self) {
        loop {
            let wait = match self.look().await {
                Ok(()) => LOOK_EVERY,
                Err(error) => {
                    tracing::warn!(%error, "certificate expiry check failed, retrying");
                    AGAIN
                }
            };
            tokio::time::sleep(wait).await;
        }
    }

    async fn look(&self) -> Result<(), StoreError> {
        let expiring = self.store.expiring_certificates().await?;
        let soonest = expiring.iter().map(|it| it.valid_to).min();
        self.observer
            .record(WorkerActivity::FirstCertificateExpiry(soonest));
        for it in &expiring {
            if let Some(days) = stage(it) {
                self.announce(it, days).await?;
            }
        }
        Ok(())
    }

    async fn announce(&self, it: &ExpiringCertificate, days: u32) -> Result<(), StoreError> {
        let event = Event {
            severity: EventSeverity::Warning,
            event_type: "certificate-expiring",
            instance: Some(self.instance),
            alert: None,
            send_port: None,
            relay: None,
            message: sentence(it, days),
        };
        if self.store.notify_expiry(it.id, days, &event).await? {
            tracing::warn!(
                thumbprint = it.thumbprint,
                days_left = it.days_left,
                "recipient certificate expires soon"
            );
            self.observer.record(WorkerActivity::Event(&event));
        }
        Ok(())
    }
}

/// The number of days to say it with, where it is not announced yet.
fn stage(it: &ExpiringCertificate) -> Option<u32> {
    let stage = STAGES.into_iter().find(|days| it.days_left < *days)?;
    it.notified_at_days
        .is_none_or(|announced| stage < announced)
        .then_some(stage)
}

fn sentence(it: &ExpiringCertificate, days: u32) -> String {
    let (address, thumbprint) = (&it.address, &it.thumbprint);
    let end = utc_text(it.valid_to);
    let within = match days {
        1 => "within a day".to_owned(),
        days => format!("within {days} days"),
    };
    format!(
        "the certificate {thumbprint} of {address} ends {within}, at {end}, and there is no other one: \
         ask for a new one and run `sendport cert import`"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use sendport_core::domain::CertificateId;

    #[test]
    fn an_expiry_is_announced_once_at_each_number_of_days() {
        let ends = |days_left, notified_at_days| ExpiringCertificate {
            id: CertificateId(1),
            address: "a@x.com".to_owned(),
            thumbprint: "AB".to_owned(),
            valid_to: chrono::DateTime::UNIX_EPOCH,
            days_left,
            notified_at_days,
        };
        for (days_left, announced, text) in [
            (59, None, Some(60)),
            (59, Some(60), None),
            (30, Some(60), None),
            (29, Some(60), Some(30)),
            (5, None, Some(7)),
            (5, Some(7), None),
            (0, Some(7), Some(1)),
            (0, Some(1), None),
            (60, None, None),
        ] {
            assert_eq!(
                stage(&ends(days_left, announced)),
                text,
                "{days_left} {announced:?}"
            );
        }
    }
}
