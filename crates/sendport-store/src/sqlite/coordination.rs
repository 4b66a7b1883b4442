//! What instances share beside the queue: shares of limits, learned limits, and relay authentication.

use std::time::Duration;

use async_trait::async_trait;
use rusqlite::{OptionalExtension, Transaction, params};

use crate::coordination::{
    AUTH_ABANDONED, AUTH_FORGOTTEN_AFTER, AUTH_TIMEOUT, Coordination, ENDED_LATELY,
};
use crate::{ColumnError, StoreError};
use sendport_core::domain::{
    AUTH_COOLDOWN, AuthDecision, AuthKey, AuthOutcome, Command, ConnectionEnd, InstanceId,
    LearnedLimit, LearnedRecipients, LimitFinding, Membership, Reply, Timestamp,
};

use super::connection::{SqliteError, write};
use super::values::{Columns, earlier, time_text, uuid_text};
use super::{SqliteStore, sql};

/// It is forgotten.
const NOTE_LIMIT_DELETE: &str =
    "DELETE FROM RelayConnectionLimit WHERE Relay = ?1 AND Connections = ?2";

/// It is another one now.
const NOTE_LIMIT_UPDATE: &str = "UPDATE RelayConnectionLimit SET Connections = ?2, ChangedAt = ?3, InstanceId = ?4, ThrottleReason = ?5 \
    WHERE Relay = ?1 AND Connections = ?6";

/// Other credentials of the relay that were unused for long.
pub(super) const END_AUTHENTICATION_DROP_OTHERS: &str = "DELETE FROM RelayAuthentication WHERE Relay = ?1 AND CredentialFingerprint <> ?2 AND StateAt < ?3";

/// Among how many it shares now; written only where that changes.
const PUBLISH_SHARE_WRITE: &str =
    "UPDATE Instance SET ShareCount = ?2 WHERE InstanceId = ?1 AND ShareCount <> ?2";

/// Of every relay, at others, and not long ago.
const CONNECTION_ENDS: &str = "SELECT Relay, Recipients, LostAt FROM RelayConnectionLoss WHERE InstanceId <> ?1 AND LostAt > ?2";

/// Of every relay.
const LEARNED_LIMITS: &str =
    "SELECT Relay, Connections, ChangedAt, ThrottleReason FROM RelayConnectionLimit";

/// Of every relay.
const LEARNED_RECIPIENTS: &str =
    "SELECT Relay, Recipients, PauseSeconds, LearnedAt FROM RelayRecipientLimit";

#[async_trait]
impl Coordination for SqliteStore {
    async fn publish_share(
        &self,
        instance: InstanceId,
        share_count: u32,
    ) -> Result<Membership, StoreError> {
        let now = self.clock.now();
        self.writer
            .call("agree on shares", move |connection| {
                write(connection, |tx| {
                    publish_share(tx, instance, share_count, now)
                })
            })
            .await
    }

    async fn learned_limits(&self) -> Result<Vec<LearnedLimit>, StoreError> {
        let now = self.clock.now();
        self.writer
            .call("read learned limits", move |connection| {
                let mut statement = connection.prepare_cached(LEARNED_LIMITS)?;
                let read = |row: &rusqlite::Row<'_>| Ok(learned_limit(&Columns::new(row), now));
                let rows = statement.query_map([], read)?;
                rows.map(|row| row?.map_err(SqliteError::unreadable))
                    .collect()
            })
            .await
    }

    async fn note_limit(
        &self,
        instance: InstanceId,
        relay: &str,
        finding: &LimitFinding,
    ) -> Result<bool, StoreError> {
        let (relay, finding, now) = (relay.to_owned(), finding.clone(), self.clock.now());
        self.writer
            .call("note a learned limit", move |connection| {
                write(connection, |tx| {
                    note_limit(tx, instance, &relay, &finding, now)
                })
            })
            .await
    }

    async fn learned_recipients(&self) -> Result<Vec<(String, LearnedRecipients)>, StoreError> {
        let now = self.clock.now();
        self.writer
            .call("read learned numbers of recipients", move |connection| {
                let mut statement = connection.prepare_cached(LEARNED_RECIPIENTS)?;
                let read =
                    |row: &rusqlite::Row<'_>| Ok(learned_recipients(&Columns::new(row), now));
                let rows = statement.query_map([], read)?;
                rows.map(|row| row?.map_err(SqliteError::unreadable))
                    .collect()
            })
            .await
    }

    async fn note_recipients(
        &self,
        instance: InstanceId,
        relay: &str,
        finding: &LearnedRecipients,
    ) -> Result<(), StoreError> {
        let (relay, finding, now) = (relay.to_owned(), *finding, self.clock.now());
        self.writer
            .call("note a learned number of recipients", move |connection| {
                let pause = i64::try_from(finding.pause.as_secs()).unwrap_or(i64::MAX);
                let (at, who) = (time_text(now), uuid_text(instance.0));
                let mut write = connection.prepare_cached(sql!("note_recipients"))?;
                write.execute(params![relay, finding.recipients, pause, at, who])?;
                Ok(())
            })
            .await
    }

    async fn connection_ends(
        &self,
        instance: InstanceId,
    ) -> Result<Vec<(String, ConnectionEnd)>, StoreError> {
        let now = self.clock.now();
        self.writer
            .call("read where connections ended", move |connection| {
                let mut statement = connection.prepare_cached(CONNECTION_ENDS)?;
                let read = |row: &rusqlite::Row<'_>| Ok(connection_end(&Columns::new(row), now));
                let since = earlier(now, ConnectionEnd::SAME_CAUSE);
                let rows = statement.query_map(params![uuid_text(instance.0), since], read)?;
                rows.map(|row| row?.map_err(SqliteError::unreadable))
                    .collect()
            })
            .await
    }

    async fn note_connection_end(
        &self,
        instance: InstanceId,
        relay: &str,
        end: &ConnectionEnd,
    ) -> Result<(), StoreError> {
        let (relay, end, now) = (relay.to_owned(), *end, self.clock.now());
        self.writer
            .call("note where a connection ended", move |connection| {
                let (at, who) = (earlier(now, end.ended_for), uuid_text(instance.0));
                let mut write = connection.prepare_cached(sql!("note_connection_end"))?;
                write.execute(params![relay, end.recipients, at, who])?;
                Ok(())
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

fn learned_limit(row: &Columns<'_, '_>, now: Timestamp) -> Result<LearnedLimit, ColumnError> {
    Ok(LearnedLimit {
        relay: row.text("Relay")?,
        connections: row.count("Connections")?,
        unchanged_for: (now - row.time("ChangedAt")?).to_std().unwrap_or_default(),
        said: row.text("ThrottleReason")?,
    })
}

fn learned_recipients(
    row: &Columns<'_, '_>,
    now: Timestamp,
) -> Result<(String, LearnedRecipients), ColumnError> {
    let learned = LearnedRecipients {
        recipients: row.count("Recipients")?,
        pause: Duration::from_secs(row.count("PauseSeconds")?.into()),
        learned_for: (now - row.time("LearnedAt")?).to_std().unwrap_or_default(),
    };
    Ok((row.text("Relay")?, learned))
}

fn connection_end(
    row: &Columns<'_, '_>,
    now: Timestamp,
) -> Result<(String, ConnectionEnd), ColumnError> {
    let end = ConnectionEnd {
        recipients: row.count("Recipients")?,
        ended_for: (now - row.time("LostAt")?).to_std().unwrap_or_default(),
    };
    Ok((row.text("Relay")?, end))
}

fn note_limit(
    tx: &Transaction<'_>,
    instance: InstanceId,
    relay: &str,
    finding: &LimitFinding,
    now: Timestamp,
) -> Result<bool, SqliteError> {
    let (at, who, said) = (time_text(now), uuid_text(instance.0), &finding.said);
    let noted = match (finding.was, finding.is) {
        (None, None) => 1,
        (None, Some(is)) => tx
            .prepare_cached(sql!("note_limit_insert"))?
            .execute(params![relay, is, at, who, said])?,
        (Some(was), Some(is)) => tx
            .prepare_cached(NOTE_LIMIT_UPDATE)?
            .execute(params![relay, is, at, who, said, was])?,
        (Some(was), None) => tx
            .prepare_cached(NOTE_LIMIT_DELETE)?
            .execute(params![relay, was])?,
    };
    Ok(noted > 0)
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

    /// Another one tried it, and died before it noted how that ended.
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
        let died = Reply::absent(Command::Auth, AUTH_ABANDONED);
        note_failure(
            tx,
            key,
            abandoned.instance.as_deref(),
            now,
            &died,
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
