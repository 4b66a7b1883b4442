//! Lines of views for operators, beside the queue.

use sendport_core::domain::{AlertId, Timestamp};
use serde::Serialize;

/// A line of the view `FailedDelivery`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
#[expect(missing_docs, reason = "the columns of the view, documented there")]
pub struct FailureLine {
    pub alert_id: AlertId,
    pub send_port: String,
    pub address: Option<String>,
    pub status: String,
    pub status_at: Timestamp,
    pub relay: Option<String>,
    pub reply_code: Option<u16>,
    pub enhanced_status_code: Option<String>,
    pub reason: Option<String>,
    pub cause: Option<String>,
    pub advice: Option<String>,
}

/// A line of the view `Relay`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
#[expect(missing_docs, reason = "the columns of the view, documented there")]
pub struct RelayLine {
    pub relay: String,
    pub condition: String,
    pub since: Timestamp,
    pub retry_at: Option<Timestamp>,
    pub reply: Option<String>,
    pub cause: Option<String>,
    pub advice: Option<String>,
    pub instances: u32,
    pub throttle_reason: Option<String>,
    pub authentication: Option<String>,
    pub authentication_retry_at: Option<Timestamp>,
    pub send_ports: Option<String>,
}

/// A line of the view `AlertExplanation`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ExplanationLine {
    /// `history`, `status`, `cause`, `next` or `advice`.
    pub kind: String,
    /// When it happened, or will happen.
    pub at: Option<Timestamp>,
    /// What the line says, without a full stop.
    pub sentence: String,
}
