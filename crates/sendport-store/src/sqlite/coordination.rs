//! What instances share beside the queue: their shares of limits, and relay authentication.

use std::time::Duration;

use async_trait::async_trait;
use rusqlite::{OptionalExtension, Transaction, params};
use sendport_core::domain::{
    AUTH_COOLDOWN, AuthDecision, AuthKey, AuthOutcome, Command, InstanceId, Membership, Reply,
    Timestamp,
};

use super::connection::{SqliteError, write};
use super::values::{Columns, earlier, time_text, uuid_text};
use super::{SqliteStore, sql};
use crate::coordination::{
    AUTH_ABANDONED, AUTH_FORGOTTEN_AFTER, AUTH_TIMEOUT, Coordination, ENDED_LATELY,
};
use crate::{ColumnError, StoreError};

/// Other credentials of the relay that were unused for long.
pub(super) const END_AUTHENTICATION_DROP_OTHERS: &str = "DELETE FROM RelayAuthentication WHERE Relay = ?1 AND CredentialFingerprint <> ?2 AND StateAt < ?3";

/// Among how many it shares now; written only where that changes.
const PUBLISH_SHARE_WRITE: &str =
    "UPDATE Instance SET ShareCount = ?2 WHERE InstanceId = ?1 AND ShareCount <> ?2";

#[async_trait]
impl Coordination for SqliteStore {
    async fn publish_share(
        &self,
        instance: InstanceId,
        share_count: u32,
    ) -> Result<Membership, StoreError> {
        let now = self.clock.now();
        self.writer
            .call("publish the share of limits", move |connection| {
                write(connection, |tx| {
                    publish_share(tx, instance, share_count, now)
                })
            })
            .await
    }

    async fn begin_authentication(
        &self,
        instance: Option<InstanceId>,
        key: &AuthKey,
    ) -> Result<AuthDecision, StoreError> {
        let (key, now) = (key.clone(), self.clock.now());
        self.writer
            .call("ask for a turn to authenticate", move |connection| {
                write(connection, |tx| begin(tx, instance, &key, now))
            })
            .await
    }

    async fn end_authentication(
        &self,
        instance: Option<InstanceId>,
        key: &AuthKey,
        verdict: &AuthOutcome,
    ) -> Result<(), StoreError> {
        let (key, verdict, now) = (key.clone(), verdict.clone(), self.clock.now());
        self.writer
            .call(
                "record the result of an authentication",
                move |connection| write(connection, |tx| end(tx, instance, &key, &verdict, now)),
            )
            .await
    }
}

fn publish_share(
    tx: &Transaction<'_>,
    instance: InstanceId,
    share_count: u32,
    now: Timestamp,
) -> Result<Membership, SqliteError> {
    let id = uuid_text(instance.0);
    tx.prepare_cached(PUBLISH_SHARE_WRITE)?
        .execute(params![id, share_count])?;
    let mut statement = tx.prepare_cached(sql!("publish_share"))?;
    let read = |row: &Columns<'_, '_>| {
        let instances = row.count("Others")? + 1;
        let least = row.optional_integer("LeastShares")?;
        let others_ended = row
            .optional_time("LastEndedAt")?
            .map(|at| (now - at).to_std().unwrap_or_default())
            .filter(|ago| *ago <= ENDED_LATELY);
        Ok(Membership {
            instances,
            rank: row.count("Older")?,
            acknowledged: least.is_none_or(|least| least >= i64::from(instances)),
            others_ended,
        })
    };
    let membership = statement.query_row(params![id, time_text(now)], |row| {
        Ok(read(&Columns::new(row)))
    })?;
    membership.map_err(SqliteError::unreadable)
}

/// What is stored about credentials.
struct StoredAuthentication {
    state: String,
    state_at: Timestamp,
    refused_at: Option<Timestamp>,
    reply: Reply,
    instance: Option<String>,
    /// The instance that wrote it, if one did, is still alive.
    lives: bool,
}

impl StoredAuthentication {
    fn read(row: &Columns<'_, '_>) -> Result<Self, ColumnError> {
        let code = row.optional_integer("ReplyCode")?;
        let enhanced = row.optional_text("EnhancedStatusCode")?;
        Ok(Self {
            state: row.text("State")?,
            state_at: row.time("StateAt")?,
            refused_at: row.optional_time("RefusedAt")?,
            reply: Reply::new(
                Command::Auth,
                code.and_then(|code| u16::try_from(code).ok())
                    .unwrap_or_default(),
                enhanced.and_then(|code| code.parse().ok()),
                row.lossy("ReplyText")?.unwrap_or_default(),
            ),
            instance: row.optional_text("InstanceId")?,
            lives: row.flag("Lives")?,
        })
    }

    /// Another instance tried it, and crashed before it noted the result.
    fn is_abandoned(&self, asks: Option<&str>, now: Timestamp) -> bool {
        self.is_tried_by_another(asks)
            && !(self.lives && left(self.state_at, AUTH_TIMEOUT, now).is_some())
    }

    fn is_tried_by_another(&self, asks: Option<&str>) -> bool {
        let own = asks.is_some() && self.instance.as_deref() == asks;
        self.state == "trying" && !own
    }

    fn turn(self, asks: Option<&str>, now: Timestamp) -> AuthDecision {
        let refused = self.refused_at.unwrap_or(self.state_at);
        match self.state.as_str() {
            "accepted" => AuthDecision::Proceed,
            "trying" if self.is_tried_by_another(asks) => AuthDecision::Wait,
            "refused" => match left(refused, AUTH_COOLDOWN, now) {
                Some(retry_in) => AuthDecision::Refused {
                    reply: self.reply,
                    retry_in,
                },
                None => AuthDecision::ProceedAlone,
            },
            _ => AuthDecision::ProceedAlone,
        }
    }
}

/// What is left of `limit` since then; `None` where it is over.
fn left(since: Timestamp, limit: Duration, now: Timestamp) -> Option<Duration> {
    let passed = (now - since).to_std().unwrap_or_default();
    limit.checked_sub(passed).filter(|left| !left.is_zero())
}

fn known(
    tx: &Transaction<'_>,
    key: &AuthKey,
    now: Timestamp,
) -> Result<Option<StoredAuthentication>, SqliteError> {
    let mut statement = tx.prepare_cached(sql!("begin_authentication_read"))?;
    let read = |row: &rusqlite::Row<'_>| Ok(StoredAuthentication::read(&Columns::new(row)));
    statement
        .query_row(
            params![key.relay, key.credential_fingerprint, time_text(now)],
            read,
        )
        .optional()?
        .transpose()
        .map_err(SqliteError::unreadable)
}

fn begin(
    tx: &Transaction<'_>,
    instance: Option<InstanceId>,
    key: &AuthKey,
    now: Timestamp,
) -> Result<AuthDecision, SqliteError> {
    let who = id_text(instance);
    let mut found = known(tx, key, now)?;
    if let Some(abandoned) = found.take_if(|known| known.is_abandoned(who.as_deref(), now)) {
        let no_reply = Reply::absent(Command::Auth, AUTH_ABANDONED);
        note_failure(
            tx,
            key,
            abandoned.instance.as_deref(),
            now,
            &no_reply,
            sql!("end_authentication_unanswered"),
        )?;
        found = known(tx, key, now)?;
    }
    let turn = found.map_or(AuthDecision::ProceedAlone, |known| {
        known.turn(who.as_deref(), now)
    });
    if turn == AuthDecision::ProceedAlone {
        let values = params![key.relay, key.credential_fingerprint, time_text(now), who];
        tx.prepare_cached(sql!("begin_authentication_try"))?
            .execute(values)?;
    }
    Ok(turn)
}

fn end(
    tx: &Transaction<'_>,
    instance: Option<InstanceId>,
    key: &AuthKey,
    verdict: &AuthOutcome,
    now: Timestamp,
) -> Result<(), SqliteError> {
    let (relay, secret) = (&key.relay, &key.credential_fingerprint);
    let (at, who) = (time_text(now), id_text(instance));
    match verdict {
        AuthOutcome::NotAttempted => return give_turn_back(tx, key, who.as_deref()),
        AuthOutcome::Accepted => {
            let values = params![relay, secret, at, who];
            tx.prepare_cached(sql!("end_authentication_accepted"))?
                .execute(values)?;
        }
        AuthOutcome::Refused(reply) => {
            note_failure(
                tx,
                key,
                who.as_deref(),
                now,
                reply,
                sql!("end_authentication_refused"),
            )?;
        }
        AuthOutcome::Unanswered(reply) => {
            note_failure(
                tx,
                key,
                who.as_deref(),
                now,
                reply,
                sql!("end_authentication_unanswered"),
            )?;
        }
    }
    let values = params![relay, secret, earlier(now, AUTH_FORGOTTEN_AFTER)];
    tx.prepare_cached(END_AUTHENTICATION_DROP_OTHERS)?
        .execute(values)?;
    Ok(())
}

fn note_failure(
    tx: &Transaction<'_>,
    key: &AuthKey,
    who: Option<&str>,
    now: Timestamp,
    reply: &Reply,
    sql: &str,
) -> Result<(), SqliteError> {
    let enhanced = reply.enhanced.map(|code| code.to_string());
    let (at, code, text) = (time_text(now), reply.code, &reply.text);
    let values = params![
        key.relay,
        key.credential_fingerprint,
        at,
        who,
        code,
        enhanced,
        text
    ];
    tx.prepare_cached(sql)?.execute(values)?;
    Ok(())
}

fn give_turn_back(
    tx: &Transaction<'_>,
    key: &AuthKey,
    who: Option<&str>,
) -> Result<(), SqliteError> {
    let values = params![key.relay, key.credential_fingerprint, who];
    tx.prepare_cached(sql!("end_authentication_forget"))?
        .execute(values)?;
    tx.prepare_cached(sql!("end_authentication_restore"))?
        .execute(values)?;
    Ok(())
}

fn id_text(instance: Option<InstanceId>) -> Option<String> {
    instance.map(|id| uuid_text(id.0))
}
