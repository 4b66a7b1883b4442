//! Claiming alerts.

use std::sync::LazyLock;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Transaction, params};
use sendport_core::domain::{
    AlertId, InstanceId, LeaseToken, OperatorVerb, Priority, RequestId, StatusReasonCode, Timestamp,
};

use super::bulk_change::keys;
use super::connection::{SqliteError, write};
use super::expiry::without_instance;
use super::operator_requests::with_parts;
use super::sql;
use super::values::{time_of, time_text, uuid_text};
use crate::operator_requests::reason;
use crate::{Among, CLASS_HEAD_START, Claim, ClaimResult, RefusedRow};

/// One that was refused before, where it is still due.
pub(super) const CLAIM_ONLY: &str = "SELECT AlertId FROM AlertState \
    WHERE AlertId = ?1 AND SendPort = ?2 AND DueAt <= ?3 AND (SELECT 1 FROM Instance WHERE InstanceId = ?4)";

/// What the same claim took, where its answer was not seen.
pub(super) const CLAIM_REPEATED: &str =
    "SELECT AlertId FROM AlertState WHERE LeaseOwner = ?1 AND LeaseToken = ?2 ORDER BY AlertId";

/// Whether requests of operators may keep alerts from being sent.
pub(super) const CLAIM_OPEN_REQUEST: &str =
    "SELECT 1 FROM OperatorRequest WHERE State = 'open' AND Verb IN ('cancel', 'hold')";

/// Whether an operator holds a send port as a whole.
pub(super) const CLAIM_HELD_PORT: &str =
    "SELECT 1 FROM OperatorRequest WHERE State = 'open' AND Verb = 'hold' AND SendPort = ?1";

static CLAIM_REQUEST: LazyLock<String> = LazyLock::new(|| with_parts(sql!("claim_request")));

/// Most alerts that one claim takes.
const MOST: u32 = 500;

/// A [`Claim`] that its thread owns.
pub(super) struct ClaimRequest {
    instance: InstanceId,
    token: LeaseToken,
    send_port: String,
    limit: usize,
    only: Option<AlertId>,
    without: Vec<AlertId>,
    now: Timestamp,
}

impl ClaimRequest {
    pub(super) fn new(claim: &Claim<'_>, now: Timestamp) -> Self {
        let (only, without) = match claim.among {
            Among::AllBut(without) => (None, without.to_vec()),
            Among::Only(alert) => (Some(alert), Vec::new()),
        };
        Self {
            instance: claim.instance,
            token: claim.token,
            send_port: claim.send_port.to_owned(),
            limit: claim.limit.min(MOST) as usize,
            only,
            without,
            now,
        }
    }

    /// One transaction, and another one where a trigger rolled everything back with the row that it
    /// refused. Where nothing is due there is none: it would keep applications from inserting.
    pub(super) fn run(&self, connection: &mut Connection) -> Result<ClaimResult, SqliteError> {
        let (token, owner) = (uuid_text(self.token.0), uuid_text(self.instance.0));
        let alerts = keys(connection, CLAIM_REPEATED, params![owner, token])?;
        if !alerts.is_empty() || self.candidates(connection, 1, &[])?.is_empty() {
            return Ok(ClaimResult {
                alerts,
                ..ClaimResult::default()
            });
        }
        let mut refused = Vec::new();
        loop {
            let known = refused.len();
            match write(connection, |tx| self.claim(tx, &mut refused)) {
                Err(_) if refused.len() > known => {}
                result => {
                    return result.map(|claimed| ClaimResult { refused, ..claimed });
                }
            }
        }
    }

    fn claim(
        &self,
        tx: &Transaction<'_>,
        refused: &mut Vec<RefusedRow>,
    ) -> Result<ClaimResult, SqliteError> {
        let mut due = self.candidates(tx, self.limit, refused)?;
        let may_hold_more = self.limit > 0 && due.len() + refused.len() >= self.limit;
        due.truncate(self.limit.saturating_sub(refused.len()));
        let parked = self.park_requested(tx, &mut due, refused)?;
        Ok(ClaimResult {
            alerts: self.take(tx, due, refused)?,
            may_hold_more,
            refused: Vec::new(),
            parked,
        })
    }

    /// What is due and may be claimed: `limit` of them, if there are as many.
    fn candidates(
        &self,
        connection: &Connection,
        limit: usize,
        refused: &[RefusedRow],
    ) -> Result<Vec<AlertId>, SqliteError> {
        let mut held = connection.prepare_cached(CLAIM_HELD_PORT)?;
        if held.exists([&self.send_port])? {
            return Ok(Vec::new());
        }
        let left_out = self.without.len() + refused.len();
        let mut due = match (self.only, self.limit) {
            (Some(alert), _) => self.still_due(connection, alert)?,
            (None, 0) => Vec::new(),
            (None, _) => self.due(connection, limit + left_out)?,
        };
        due.retain(|id| !self.without.contains(id) && !refused.iter().any(|it| it.alert == *id));
        Ok(due)
    }

    fn still_due(
        &self,
        connection: &Connection,
        alert: AlertId,
    ) -> Result<Vec<AlertId>, SqliteError> {
        let owner = uuid_text(self.instance.0);
        let values = params![alert.0, self.send_port, time_text(self.now), owner];
        keys(connection, CLAIM_ONLY, values)
    }

    /// The first of three seeks, merged as if higher classes had been due earlier.
    fn due(&self, connection: &Connection, most: usize) -> Result<Vec<AlertId>, SqliteError> {
        let mut found: Vec<(i64, i64)> = Vec::new();
        let mut statement = connection.prepare_cached(sql!("claim_due"))?;
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let (now, owner) = (time_text(self.now), uuid_text(self.instance.0));
        for (class, head_start) in [
            (Priority::Urgent, 2 * CLASS_HEAD_START),
            (Priority::Normal, CLASS_HEAD_START),
            (Priority::Low, Duration::ZERO),
        ] {
            let values = params![self.send_port, class.as_str(), now, most, owner];
            let mut rows = statement.query(values)?;
            while let Some(row) = rows.next()? {
                let head_start = i64::try_from(head_start.as_millis()).unwrap_or(i64::MAX);
                found.push((
                    due_millis(row.get_ref(1)?.as_str().ok()) - head_start,
                    row.get(0)?,
                ));
            }
        }
        found.sort_unstable();
        Ok(found.into_iter().map(|(_, id)| AlertId(id)).collect())
    }

    /// Takes out of the queue what open requests of operators keep from being sent: how many.
    fn park_requested(
        &self,
        tx: &Transaction<'_>,
        due: &mut Vec<AlertId>,
        refused: &mut Vec<RefusedRow>,
    ) -> Result<u32, SqliteError> {
        let is_open = tx.prepare_cached(CLAIM_OPEN_REQUEST)?.exists([])?;
        let (mut kept, mut parked) = (Vec::with_capacity(due.len()), 0);
        for alert in due.drain(..) {
            let request = match is_open {
                true => claim_request(tx, alert)?,
                false => None,
            };
            let Some(request) = request else {
                kept.push(alert);
                continue;
            };
            let recorder = without_instance(tx, self.now);
            let park = || recorder.park(alert, &request.reason, request.code, request.id);
            parked += u32::from(self.change(tx, alert, refused, park)?);
        }
        *due = kept;
        Ok(parked)
    }

    /// Those of them that could be taken.
    fn take(
        &self,
        tx: &Transaction<'_>,
        due: Vec<AlertId>,
        refused: &mut Vec<RefusedRow>,
    ) -> Result<Vec<AlertId>, SqliteError> {
        let now = time_text(self.now);
        let (token, owner) = (uuid_text(self.token.0), uuid_text(self.instance.0));
        let mut statement = tx.prepare_cached(sql!("claim_take"))?;
        let mut taken = Vec::with_capacity(due.len());
        for alert in due {
            let take = || Ok(statement.execute(params![alert.0, now, token, owner])?);
            if self.change(tx, alert, refused, take)? {
                taken.push(alert);
            }
        }
        Ok(taken)
    }

    /// False where the change of an alert that is due is refused: it is due still.
    fn change(
        &self,
        tx: &Transaction<'_>,
        alert: AlertId,
        refused: &mut Vec<RefusedRow>,
        change: impl FnOnce() -> Result<usize, SqliteError>,
    ) -> Result<bool, SqliteError> {
        // Without an error a trigger may still have left the row as it was.
        let trouble = match change() {
            Ok(_) => SqliteError::ignored("row as it was"),
            Err(error) => error,
        };
        if !trouble.may_be_of_one_row() {
            return Err(trouble);
        }
        let why = trouble.why();
        if trouble.ends(tx) {
            refused.push(RefusedRow { alert, why });
            return Err(trouble);
        }
        // A trigger that fails behind the change, and rolls nothing back, refuses nothing.
        let changed = self.still_due(tx, alert)?.is_empty();
        if !changed {
            refused.push(RefusedRow { alert, why });
        }
        Ok(changed)
    }
}

/// What keeps an alert from being sent.
struct ParkingRequest {
    id: RequestId,
    code: StatusReasonCode,
    reason: String,
}

/// The open cancel or hold that an alert matches.
fn claim_request(
    tx: &Transaction<'_>,
    alert: AlertId,
) -> Result<Option<ParkingRequest>, SqliteError> {
    let mut statement = tx.prepare_cached(&CLAIM_REQUEST)?;
    let read = |row: &rusqlite::Row<'_>| {
        let verb: String = row.get("Verb")?;
        let (by, comment): (String, Option<String>) =
            (row.get("RequestedBy")?, row.get("Comment")?);
        Ok(ParkingRequest {
            id: RequestId(row.get("RequestId")?),
            code: match verb == OperatorVerb::Cancel.as_str() {
                true => StatusReasonCode::Cancelling,
                false => StatusReasonCode::OperatorHold,
            },
            reason: reason(&verb, &by, comment.as_deref()),
        })
    };
    Ok(statement.query_row([alert.0], read).optional()?)
}

/// A month 13, which the CHECK lets pass, is claimed first, and fails when it is loaded.
fn due_millis(text: Option<&str>) -> i64 {
    text.and_then(|text| time_of(text).ok())
        .map_or(0, |due| due.timestamp_millis())
}
