//! Requests for work, and the results of claims and sweeps.

use sendport_core::domain::{AlertId, InstanceId, LeaseToken};

use super::error::{StoreError, StoreErrorKind};

/// Most alerts that [`Among::AllBut`] leaves out.
pub const MOST_REFUSED: usize = 1_000;

/// A request for work of one send port.
#[derive(Debug, Clone, Copy)]
pub struct Claim<'a> {
    /// The owner of the leases.
    pub instance: InstanceId,
    /// Written to each alert that is taken; fresh for each claim.
    pub token: LeaseToken,
    /// The send port whose queue is read.
    pub send_port: &'a str,
    /// Most alerts to take; at most 500, so that row locks do not escalate to a table lock.
    pub limit: u32,
    /// Which of them.
    pub among: Among<'a>,
}

/// The alerts that a claim or a sweep may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Among<'a> {
    /// All but these, which the database refused before; at most [`MOST_REFUSED`].
    AllBut(&'a [AlertId]),
    /// This one alone, which the database refused before.
    Only(AlertId),
}

/// The result of a claim.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClaimResult {
    /// Leased now, in the order of work.
    pub alerts: Vec<AlertId>,
    /// The queue may hold more that is due: ask again at once.
    pub may_hold_more: bool,
    /// What the database refuses to lease although it leases others.
    pub refused: Vec<RefusedRow>,
    /// So many were due, and a request of an operator took them out of the queue.
    pub parked: u32,
}

impl Among<'_> {
    /// Whether it may be taken.
    pub(crate) fn includes(self, alert: AlertId) -> bool {
        match self {
            Among::AllBut(without) => !without.contains(&alert),
            Among::Only(only) => alert == only,
        }
    }
}

/// The result of a sweep.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SweepResult {
    /// How many alerts were changed.
    pub count: u32,
    /// What the database refuses to change although it changes others.
    pub refused: Vec<RefusedRow>,
}

impl SweepResult {
    pub(crate) fn add(&mut self, other: Self) {
        self.count += other.count;
        self.refused.extend(other.refused);
    }
}

impl From<u32> for SweepResult {
    fn from(count: u32) -> Self {
        Self {
            count,
            refused: Vec::new(),
        }
    }
}

/// An alert whose row cannot be changed: a trigger or a constraint refuses that, or it is damaged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedRow {
    /// Which.
    pub alert: AlertId,
    /// The engine's message.
    pub why: String,
}

/// An error where something was refused of what must be done whole; everything else is done.
pub fn nothing_refused(doing: &'static str, refused: &[RefusedRow]) -> Result<(), StoreError> {
    let Some(RefusedRow { alert, why }) = refused.first() else {
        return Ok(());
    };
    let count = refused.len();
    Err(StoreError::new(
        StoreErrorKind::Rejected,
        doing,
        format!(
            "the database refuses to change {count} alerts, the first is {alert}: {why}; all others are \
             changed: remove what refuses it, and run the command again"
        ),
    ))
}
