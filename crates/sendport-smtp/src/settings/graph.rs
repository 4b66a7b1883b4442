//! Section `[relay.<name>]` of `kind = "graph"`: a mailbox of Microsoft 365 over Microsoft Graph.

use std::path::PathBuf;
use std::time::Duration;

use sendport_oauth2::settings::OAuth2Config;
use serde::{Deserialize, Serialize};

use super::limits::{Connections, Limits, Rate};
use super::relay::yes;

/// A mailbox that messages are sent from.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct GraphRelay {
    /// The user principal name or the id of the mailbox.
    pub mailbox: String,
    /// The cloud of the tenant: it decides endpoint, authority and scope.
    #[serde(default)]
    pub cloud: Cloud,
    /// Where Graph is, if that is another address than the cloud's.
    pub endpoint: Option<String>,
    /// Graph stores every message in Sent Items; false is refused, because it has no way to say it.
    #[serde(default = "yes")]
    pub save_to_sent_items: bool,
    /// Authentication.
    pub auth: GraphAuth,
    /// PEM file of the authorities to trust at the endpoint, instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// Most requests at the same time, of all instances together.
    #[serde(default = "at_a_time")]
    pub max_connections: u32,
    /// Most messages, of all instances together.
    #[serde(default = "thirty_a_minute")]
    pub message_rate: Rate,
    /// Most recipients of one message; an alert with more takes several.
    #[serde(default = "recipients")]
    pub recipients_per_message: Option<u32>,
    /// Longest wait for the answer to a message, the connection included.
    #[serde(default = "two_minutes", with = "humantime_serde")]
    pub timeout: Duration,
}

/// Section `[relay.<name>.auth]` of a relay of `kind = "graph"`.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct GraphAuth {
    /// Where the access token comes from.
    pub oauth2: OAuth2Config,
}

/// A cloud of Microsoft, with its own Graph.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Cloud {
    /// The worldwide one, and US Government L2 (GCC).
    #[default]
    Global,
    /// US Government L4 (GCC High).
    UsGovernment,
    /// US Government L5 (DoD).
    UsGovernmentDod,
    /// China, operated by 21Vianet.
    China,
}

impl Cloud {
    /// The address of its Graph.
    pub fn endpoint(self) -> &'static str {
        match self {
            Self::Global => "https://graph.microsoft.com",
            Self::UsGovernment => "https://graph.microsoft.us",
            Self::UsGovernmentDod => "https://dod-graph.microsoft.us",
            Self::China => "https://microsoftgraph.chinacloudapi.cn",
        }
    }

    /// The address of its authorization server.
    pub fn authority(self) -> &'static str {
        match self {
            Self::Global => "https://login.microsoftonline.com",
            Self::UsGovernment | Self::UsGovernmentDod => "https://login.microsoftonline.us",
            Self::China => "https://login.partner.microsoftonline.cn",
        }
    }
}

impl GraphRelay {
    /// The address of Graph, without a slash at its end.
    pub fn endpoint(&self) -> &str {
        let endpoint = self.endpoint.as_deref();
        endpoint
            .unwrap_or_else(|| self.cloud.endpoint())
            .trim_end_matches('/')
    }

    /// Where the access token comes from, with the cloud's scope and authority where the section names none.
    pub fn oauth2(&self) -> OAuth2Config {
        let scope = format!("{}/.default", self.cloud.endpoint());
        let oauth2 = self.auth.oauth2.clone();
        oauth2.for_service(&scope, self.cloud.authority())
    }

    /// What may be asked of it.
    pub fn limits(&self) -> Limits {
        Limits {
            connections: Connections::OfAll(self.max_connections),
            connect_rate: None,
            message_rate: Some(self.message_rate),
            recipients: self.recipients_per_message,
        }
    }
}

/// As many as Graph serves of one application and mailbox.
fn at_a_time() -> u32 {
    4
}

/// As many as Exchange Online takes from one mailbox.
fn thirty_a_minute() -> Rate {
    Rate {
        count: 30,
        per: Duration::from_secs(60),
    }
}

/// As many as a mailbox of Exchange Online may have, unless an administrator allowed it more.
fn recipients() -> Option<u32> {
    Some(500)
}

fn two_minutes() -> Duration {
    Duration::from_secs(120)
}
