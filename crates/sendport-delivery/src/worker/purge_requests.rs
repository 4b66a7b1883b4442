//! Carries out what operators ask to purge, by the batches and at the pace of retention.

use async_trait::async_trait;
use sendport_core::domain::{OperatorVerb, RequestId};
use sendport_store::operator_requests::{RequestCursor, RequestLine};
use sendport_store::purge_requests::{PurgeBatches, PurgeStage, purge_step};
use sendport_store::retention::{PurgeScope, Purged};
use sendport_store::{MOST_REFUSED, RefusedRow, StoreError};

use super::requests::{log_request_done, refused_events};
use super::retention::{LEASE, MOST_BATCHES, Retention};

/// How far a request was carried out.
#[derive(Default)]
pub(super) struct PurgePass {
    from: Option<RequestCursor>,
    /// What the database refuses to delete.
    refused: Vec<RefusedRow>,
    /// How many of them were logged.
    logged: usize,
}

#[async_trait]
impl PurgeBatches for Retention {
    async fn purge(
        &mut self,
        stage: PurgeStage,
        scope: &PurgeScope,
    ) -> Result<Option<Purged>, StoreError> {
        if !self.store.begin_retention(self.instance, LEASE).await? {
            return Ok(None);
        }
        self.purge_batch(stage, scope).await.map(Some)
    }
}

impl Retention {
    /// The open requests to purge.
    pub(super) async fn purge_requests(&mut self) -> Result<Vec<RequestLine>, StoreError> {
        let mut open = self.store.open_requests().await?;
        open.retain(|line| line.operator_verb() == Some(OperatorVerb::Purge));
        let is_open = |id: &RequestId| open.iter().any(|line| line.request_id == *id);
        self.requests.retain(|id, _| is_open(id));
        Ok(open)
    }

    /// Some steps of each request; whether more is left.
    pub(super) async fn carry_out_requests(
        &mut self,
        requests: &[RequestLine],
    ) -> Result<bool, StoreError> {
        let mut more = false;
        for request in requests {
            let known = self.requests.remove(&request.request_id);
            let mut pass = known.unwrap_or_default();
            let carried_out = self.carry_out(request, &mut pass).await;
            for event in refused_events(request, &pass.refused[pass.logged..]) {
                self.log(event).await;
            }
            pass.logged = pass.refused.len();
            more |= pass.from.is_some();
            self.requests.insert(request.request_id, pass);
            carried_out?;
        }
        Ok(more)
    }

    /// Some steps, and the end where nothing is left.
    async fn carry_out(
        &mut self,
        request: &RequestLine,
        pass: &mut PurgePass,
    ) -> Result<(), StoreError> {
        let store = self.store.clone();
        for _ in 0..MOST_BATCHES {
            let from = pass.from.clone();
            let step = purge_step(&*store, request, from.as_ref(), &mut pass.refused, self);
            pass.from = step.await?;
            if pass.from.is_none() {
                let refused = pass.refused.iter().map(|row| row.alert);
                let refused: Vec<_> = refused.take(MOST_REFUSED).collect();
                let close = store.close_request(request, 0, &refused).await?;
                if close.closed_now {
                    log_request_done(&*self.observer, request);
                }
                return Ok(());
            }
        }
        Ok(())
    }
}
