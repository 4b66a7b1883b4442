//! What instances share beside the queue: their shares of limits, and relay authentication.

use std::time::Duration;

use async_trait::async_trait;
use sendport_core::domain::{
    AUTH_COOLDOWN, AuthDecision, AuthKey, AuthOutcome, Command, InstanceId, Membership, Reply,
};
use tiberius::{Row, ToSql};
use uuid::Uuid;

use super::SqlServerStore;
use super::error::unexpected;
use super::values::{Fields, fit, fit_long, seconds};
use crate::coordination::{
    AUTH_ABANDONED, AUTH_FORGOTTEN_AFTER, AUTH_TIMEOUT, Coordination, ENDED_LATELY,
};
use crate::{ColumnError, StoreError};

#[async_trait]
impl Coordination for SqlServerStore {
    async fn publish_share(
        &self,
        instance: InstanceId,
        share_count: u32,
    ) -> Result<Membership, StoreError> {
        const DOING: &str = "publish the share of limits";
        let sql = include_str!("sql/publish_share.sql");
        let share_count = i32::try_from(share_count).unwrap_or(i32::MAX);
        let values: [&dyn ToSql; 3] = [&instance.0, &share_count, &seconds(ENDED_LATELY)];
        let row = self.pool.row(DOING, sql, &values).await?;
        membership(&row).map_err(|e| unexpected(DOING, e))
    }

    async fn begin_authentication(
        &self,
        instance: Option<InstanceId>,
        key: &AuthKey,
    ) -> Result<AuthDecision, StoreError> {
        const DOING: &str = "ask for a turn to authenticate";
        let sql = include_str!("sql/begin_authentication.sql");
        let (relay, secret, instance) = columns(instance, key);
        let (limit, rest) = (seconds(AUTH_TIMEOUT), seconds(AUTH_COOLDOWN));
        let no_reply = AUTH_ABANDONED;
        let values: [&dyn ToSql; 6] = [&relay, &secret, &instance, &limit, &rest, &no_reply];
        let rows = self.pool.rows(DOING, sql, &values).await?;
        match rows.first() {
            Some(row) => turn(row).map_err(|e| unexpected(DOING, e)),
            None => Ok(AuthDecision::Wait),
        }
    }

    async fn end_authentication(
        &self,
        instance: Option<InstanceId>,
        key: &AuthKey,
        verdict: &AuthOutcome,
    ) -> Result<(), StoreError> {
        match verdict {
            AuthOutcome::Accepted => {
                self.note_authentication(instance, key, "accepted", None)
                    .await
            }
            AuthOutcome::Refused(reply) => {
                self.note_authentication(instance, key, "refused", Some(reply))
                    .await
            }
            AuthOutcome::Unanswered(reply) => {
                self.note_authentication(instance, key, "unanswered", Some(reply))
                    .await
            }
            AuthOutcome::NotAttempted => self.drop_authentication(instance, key).await,
        }
    }
}

const NOTING: &str = "record the result of an authentication";

impl SqlServerStore {
    async fn note_authentication(
        &self,
        instance: Option<InstanceId>,
        key: &AuthKey,
        state: &str,
        reply: Option<&Reply>,
    ) -> Result<(), StoreError> {
        let sql = include_str!("sql/end_authentication.sql");
        let (relay, secret, instance) = columns(instance, key);
        let code = reply.map(|reply| i32::from(reply.code));
        let enhanced = reply
            .and_then(|reply| reply.enhanced)
            .map(|code| code.to_string());
        let text = reply.map(|reply| fit_long(&reply.text));
        let values: [&dyn ToSql; 8] = [
            &relay,
            &secret,
            &instance,
            &state,
            &code,
            &enhanced,
            &text,
            &seconds(AUTH_FORGOTTEN_AFTER),
        ];
        self.pool.query(NOTING, sql, &values).await?;
        Ok(())
    }

    async fn drop_authentication(
        &self,
        instance: Option<InstanceId>,
        key: &AuthKey,
    ) -> Result<(), StoreError> {
        let sql = include_str!("sql/end_authentication_untried.sql");
        let (relay, secret, instance) = columns(instance, key);
        self.pool
            .query(NOTING, sql, &[&relay, &secret, &instance])
            .await?;
        Ok(())
    }
}

fn columns(instance: Option<InstanceId>, key: &AuthKey) -> (String, String, Option<Uuid>) {
    (
        fit(&key.relay, 128),
        fit(&key.credential_fingerprint, 64),
        instance.map(|id| id.0),
    )
}

fn membership(row: &Row) -> Result<Membership, ColumnError> {
    let mut f = Fields::of(row);
    let instances = f.count()? + 1;
    let rank = f.count()?;
    let least = f.maybe::<i32>()?;
    let ended = f.maybe::<i32>()?;
    Ok(Membership {
        instances,
        rank,
        acknowledged: least.is_none_or(|least| i64::from(least) >= i64::from(instances)),
        others_ended: ended
            .map(|ago| Duration::from_secs(u64::try_from(ago).unwrap_or(0)))
            .filter(|ago| *ago <= ENDED_LATELY),
    })
}

fn turn(row: &Row) -> Result<AuthDecision, ColumnError> {
    let mut f = Fields::of(row);
    if f.count()? > 0 {
        return Ok(AuthDecision::ProceedAlone);
    }
    let state = f.text()?;
    let left = f.maybe::<i32>()?.unwrap_or_default();
    Ok(match state.as_str() {
        "accepted" => AuthDecision::Proceed,
        "refused" => AuthDecision::Refused {
            reply: refusal(&mut f)?,
            retry_in: Duration::from_secs(u64::try_from(left).unwrap_or(0)),
        },
        _ => AuthDecision::Wait,
    })
}

fn refusal(f: &mut Fields<'_>) -> Result<Reply, ColumnError> {
    let code = f.maybe::<i32>()?.and_then(|code| u16::try_from(code).ok());
    let enhanced = f.maybe_text()?.and_then(|code| code.parse().ok());
    let text = f.maybe_text()?.unwrap_or_default();
    Ok(Reply::new(
        Command::Auth,
        code.unwrap_or_default(),
        enhanced,
        text,
    ))
}
