//! What a scenario needs beside a store, and the helpers that scenarios are written with.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use sendport_core::clock::{Clock, SystemClock};
use sendport_core::domain::{
    AlertId, AlertStatus, Attempt, AttemptKey, AttemptOutcome, Command, CommandReply, Decision,
    EnhancedStatusCode, InDoubt, InstanceId, InstanceInfo, LeaseToken, OperatorVerb, Outcome,
    OutcomeKind, ProtectionFacts, RecipientAddress, RecipientKind, RecipientOutcome,
    RecipientStatus, Reply, RequestId, RequeueRecipients, Resolution, SendPortInfo, SessionFacts,
    Timestamp, status_of,
};
use sendport_store::operator_requests::{
    NewRequest, PassResult, RequestFilter, RequestLine, ResolveRequest, apply_pass,
};
use sendport_store::{
    AlertLine, Among, Claim, ClaimResult, Explanation, LoadResult, RecordResult, Store, StoreError,
};

/// One database of one engine. Each scenario has its own.
#[async_trait]
pub(crate) trait Fixture: Send + Sync {
    /// The database, created and migrated, without a row. Call once.
    async fn fresh(&self) -> Arc<dyn Store>;

    /// The database without any schema; where the engine can, not even created. Call instead
    /// of [`Fixture::fresh`].
    async fn bare(&self) -> Arc<dyn Store>;

    /// Another handle to the same database, as another process has it.
    async fn another(&self) -> Arc<dyn Store>;

    /// Runs a statement as an application would, on a connection of its own.
    async fn try_sql(&self, statement: &str) -> Result<(), String>;

    /// The first value of the first row, as text; bytes in hexadecimal.
    async fn scalar(&self, query: &str) -> Option<String>;

    /// The table with the columns from `Status` on: the alert's own, or one beside it.
    fn state_table(&self) -> String;

    /// The name of a table or view in a statement: `Alert`, or `sendport.Alert`.
    fn table(&self, name: &str) -> String;

    /// Lets time pass: everything in the database becomes older by this.
    async fn advance(&self, by: Duration);

    /// A statement that puts a public id into an alert which no reader can read, or `None`
    /// where the engine does not let it in.
    fn make_unreadable(&self, id: AlertId) -> Option<String>;

    /// Rules of a site by which these alerts must not get one of the statuses `to`, nor be changed in
    /// one: one for each way in which a site can make the engine do so. Both are lists of SQL.
    fn rules(&self, ids: &str, to: &str) -> Vec<SiteRule>;

    /// Rules of a site by which this alert must not be marked as reported.
    fn rules_of_notes(&self, id: AlertId) -> Vec<SiteRule>;

    /// Triggers of a site of which no statement fails: what is recorded of any alert is not kept. The
    /// first ones are about the alert's own row.
    fn quiet_rules(&self) -> Vec<SiteRule>;
}

/// Statements that make and drop a rule of a site.
pub(crate) struct SiteRule {
    pub(crate) make: String,
    pub(crate) drop: &'static str,
    /// A part of what the engine says.
    pub(crate) says: &'static str,
}

/// What a rule of a site says.
pub(crate) const RULE: &str = "refused by a rule of this site";

impl dyn Fixture + '_ {
    /// [`Fixture::try_sql`] that has to work.
    pub(crate) async fn sql(&self, statement: &str) {
        if let Err(error) = self.try_sql(statement).await {
            panic!("{statement}\n{error}");
        }
    }

    /// Inserts with these columns and values; answers with the key.
    pub(crate) async fn insert(&self, columns: &str, values: &str) -> AlertId {
        let alert = self.table("Alert");
        self.sql(&format!(
            "INSERT INTO {alert} ({columns}) VALUES ({values})"
        ))
        .await;
        AlertId(
            self.count(&format!("SELECT max(AlertId) FROM {alert}"))
                .await,
        )
    }

    /// An alert to these addresses that says nothing special.
    pub(crate) async fn alert_to(&self, recipients: &str) -> AlertId {
        let values = format!("'{recipients}', 'Order 4711 is late', 'It is.'");
        self.insert("ToRecipients, Subject, Body", &values).await
    }

    /// Many alerts for the send port `default`, in a few statements.
    pub(crate) async fn many(&self, count: usize) {
        let alert = self.table("Alert");
        let row = "('ops@contoso.com', 'Order 4711 is late', 'It is.')";
        for start in (0..count).step_by(500) {
            let rows = vec![row; 500.min(count - start)].join(", ");
            self.sql(&format!(
                "INSERT INTO {alert} (ToRecipients, Subject, Body) VALUES {rows}"
            ))
            .await;
        }
    }

    /// A number; 0 where there is none.
    pub(crate) async fn count(&self, query: &str) -> i64 {
        let found = self.scalar(query).await;
        found.map_or(0, |text| text.parse().expect("a number"))
    }

    /// Rows of a table or view that fulfil a condition.
    pub(crate) async fn rows(&self, table: &str, condition: &str) -> i64 {
        let table = self.table(table);
        self.count(&format!("SELECT count(*) FROM {table} WHERE {condition}"))
            .await
    }
}

/// How long leases last.
pub(crate) const LEASE: Duration = Duration::from_secs(60);
/// A little longer than a lease.
pub(crate) const LEASE_AND_MORE: Duration = Duration::from_secs(61);
/// `minutes(1)`.
pub(crate) const fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(60 * minutes)
}

/// Now, by the machine's clock.
pub(crate) fn now() -> Timestamp {
    SystemClock.now()
}

/// An instance on a host of its own, so that leases alone say whether it lives.
pub(crate) fn info(name: &str) -> InstanceInfo {
    InstanceInfo {
        id: InstanceId::random(),
        name: name.to_owned(),
        host_name: format!("host-of-{name}"),
        process_id: 4711,
        version: "0.1.0".to_owned(),
        environment: "test".to_owned(),
    }
}

/// A send port with two relays and the usual two days.
pub(crate) fn send_port(name: &str) -> SendPortInfo {
    SendPortInfo {
        name: name.to_owned(),
        from_address: "alerts@contoso.com".to_owned(),
        relays: vec!["mail".to_owned(), "backup".to_owned()],
        protection: "none".to_owned(),
        max_age: minutes(2 * 24 * 60),
        in_doubt: InDoubt::Retry,
    }
}

/// A registered instance that has the send port `default`.
pub(crate) async fn instance(store: &Arc<dyn Store>, name: &str) -> InstanceId {
    let info = info(name);
    let explanations = [
        Explanation {
            key: "expired".to_owned(),
            fault: "message".to_owned(),
            cause: "its time ran out".to_owned(),
            advice: "insert it again".to_owned(),
        },
        Explanation {
            key: "no-such-user".to_owned(),
            fault: "recipient".to_owned(),
            cause: "the mailbox does not exist".to_owned(),
            advice: "correct the address".to_owned(),
        },
    ];
    store
        .register(&info, LEASE, &[send_port("default")], &explanations)
        .await
        .expect("register");
    info.id
}

/// A registered instance whose send port `default` holds what is in doubt.
pub(crate) async fn holding_instance(store: &Arc<dyn Store>, name: &str) -> InstanceId {
    let id = instance(store, name).await;
    let info = InstanceInfo { id, ..info(name) };
    let mut port = send_port("default");
    port.in_doubt = InDoubt::Hold;
    store
        .register(&info, LEASE, &[port], &[])
        .await
        .expect("register");
    id
}

/// Claims from the send port `default`.
pub(crate) async fn claim(
    store: &Arc<dyn Store>,
    instance: InstanceId,
    limit: u32,
) -> (LeaseToken, Vec<AlertId>) {
    let (token, claimed) = claim_from(store, instance, "default", limit).await;
    (token, claimed.alerts)
}

/// Claims from any send port.
pub(crate) async fn claim_from(
    store: &Arc<dyn Store>,
    instance: InstanceId,
    send_port: &str,
    limit: u32,
) -> (LeaseToken, ClaimResult) {
    claim_among(store, instance, send_port, limit, Among::AllBut(&[])).await
}

/// Claims some of what is due.
pub(crate) async fn claim_among(
    store: &Arc<dyn Store>,
    instance: InstanceId,
    send_port: &str,
    limit: u32,
    among: Among<'_>,
) -> (LeaseToken, ClaimResult) {
    let token = LeaseToken::random();
    let claim = Claim {
        instance,
        token,
        send_port,
        limit,
        among,
    };
    (token, store.claim(&claim).await.expect("claim"))
}

/// Claims the one alert that is due.
pub(crate) async fn claim_one(
    store: &Arc<dyn Store>,
    instance: InstanceId,
) -> (LeaseToken, AlertId) {
    let (token, alerts) = claim(store, instance, 10).await;
    assert_eq!(alerts.len(), 1, "one alert is due");
    (token, alerts[0])
}

/// The line of `AlertStatus`.
pub(crate) async fn line(store: &Arc<dyn Store>, id: AlertId) -> AlertLine {
    let mut lines = store.alerts(Some(id), 1).await.expect("alerts");
    lines.pop().expect("the alert has a line")
}

/// The alert's status.
pub(crate) async fn status(store: &Arc<dyn Store>, id: AlertId) -> AlertStatus {
    line(store, id).await.status
}

/// The words in the column `Status` of `Delivery`, by ordinal.
pub(crate) async fn recipient_words(store: &Arc<dyn Store>, id: AlertId) -> Vec<String> {
    let lines = store.deliveries(Some(id), 100).await.expect("deliveries");
    lines.into_iter().map(|line| line.status).collect()
}

/// The whole alert, where it can be read.
pub(crate) async fn load(store: &Arc<dyn Store>, id: AlertId) -> sendport_core::domain::Alert {
    let loaded = store.load(&[id]).await.expect("load").pop();
    let loaded = match loaded {
        Some(LoadResult::Large { .. }) => store.whole_alert(id).await.expect("load"),
        other => other,
    };
    match loaded {
        Some(LoadResult::Alert(alert)) => *alert,
        other => panic!("alert {id} should be readable: {other:?}"),
    }
}

/// Records one outcome; again where the engine has something locked for a moment, as the driver does.
pub(crate) async fn record(
    store: &Arc<dyn Store>,
    instance: InstanceId,
    outcome: &Outcome,
) -> RecordResult {
    let mut last = RecordResult::NotNow;
    for _ in 0..20 {
        let recorded = store.record(instance, std::slice::from_ref(outcome)).await;
        last = recorded.expect("record")[0];
        if last != RecordResult::NotNow {
            break;
        }
    }
    last
}

/// `250`, `450` or `550`, as it fits the status.
pub(crate) fn reply_for(status: RecipientStatus) -> Reply {
    match status {
        RecipientStatus::Relayed => Reply::new(Command::EndOfData, 250, None, "queued as 4711"),
        RecipientStatus::Delayed => Reply::new(
            Command::Rcpt,
            450,
            Some(EnhancedStatusCode::new(4, 7, 1)),
            "greylisted",
        ),
        _ => Reply::new(
            Command::Rcpt,
            550,
            Some(EnhancedStatusCode::new(5, 1, 1)),
            "no such user",
        ),
    }
}

/// What an outcome says of one recipient: `ops0@contoso.com`, `ops1@contoso.com`, ...
pub(crate) fn recipient(ordinal: u32, status: RecipientStatus) -> RecipientOutcome {
    RecipientOutcome {
        ordinal,
        kind: RecipientKind::To,
        address: RecipientAddress::from_row(&format!("ops{ordinal}@contoso.com"), None),
        status,
        attempt_count: 1,
        relay: Some("mail".to_owned()),
        reply: Some(reply_for(status)),
        explanation: (status == RecipientStatus::Failed).then(|| "no-such-user".to_owned()),
        remark: None,
        redirect_to: None,
    }
}

/// An attempt with one reply for each recipient.
pub(crate) fn attempt(number: u32, statuses: &[RecipientStatus]) -> Attempt {
    let reply = |(ordinal, &status)| CommandReply {
        ordinal: Some(ordinal),
        reply: reply_for(status),
    };
    Attempt {
        key: AttemptKey::fresh(),
        number,
        relay: "mail".to_owned(),
        started_at: now(),
        ended_at: now(),
        outcome: attempt_outcome(statuses),
        message_id: "<4711@contoso.com>".to_owned(),
        size_bytes: 1234,
        protection: "none".to_owned(),
        protected: ProtectionFacts::default(),
        redirect_to: None,
        facts: SessionFacts::default(),
        replies: (0..).zip(statuses).map(reply).collect(),
    }
}

fn attempt_outcome(statuses: &[RecipientStatus]) -> AttemptOutcome {
    match status_of(statuses.iter().copied()) {
        AlertStatus::Relayed => AttemptOutcome::Relayed,
        AlertStatus::Partial => AttemptOutcome::Partial,
        AlertStatus::Delayed => AttemptOutcome::Delayed,
        _ => AttemptOutcome::Failed,
    }
}

/// An outcome of the attempt `number` with these statuses of the recipients 0, 1, ...; what
/// waits is due again after five minutes.
pub(crate) fn outcome(
    alert: AlertId,
    token: LeaseToken,
    number: u32,
    statuses: &[RecipientStatus],
) -> Outcome {
    let status = status_of(statuses.iter().copied());
    let recipients = (0..).zip(statuses);
    let decision = Decision {
        status,
        retry_in: (status == AlertStatus::Delayed).then_some(minutes(5)),
        reason: None,
        attempt: Some(attempt(number, statuses)),
        recipients: recipients
            .map(|(n, &status)| recipient(n, status))
            .collect(),
        template_version: None,
    };
    decided(alert, token, decision)
}

/// An outcome with this decision.
pub(crate) fn decided(alert: AlertId, token: LeaseToken, decision: Decision) -> Outcome {
    Outcome {
        alert,
        token,
        kind: OutcomeKind::Decided(Box::new(decision)),
    }
}

/// An alert that goes back untouched.
pub(crate) fn released(alert: AlertId, token: LeaseToken, retry_in: Duration) -> Outcome {
    Outcome {
        alert,
        token,
        kind: OutcomeKind::Released {
            retry_in,
            reason: None,
        },
    }
}

/// Asks again as the service does where a busy engine has no answer: each statement waits for
/// locks itself, for a while.
pub(crate) async fn repeated<T, F>(ask: impl Fn() -> F) -> T
where
    F: Future<Output = Result<T, StoreError>>,
{
    let mut tries = 0;
    loop {
        match ask().await {
            Ok(answer) => return answer,
            Err(error) if error.is_transient() && tries < 40 => tries += 1,
            Err(error) => panic!("after {tries} more tries: {error}"),
        }
    }
}

/// What the rounds of a sweep reach, up to `wanted`: what the engine has locked for a moment is left
/// for the next round.
pub(crate) async fn in_rounds<F>(wanted: u32, round: impl Fn() -> F) -> u32
where
    F: Future<Output = u32>,
{
    let mut reached = 0;
    for _ in 0..20 {
        reached += round().await;
        if reached >= wanted {
            break;
        }
    }
    reached
}

/// How many alerts expired.
pub(crate) async fn expire(store: &Arc<dyn Store>, limit: u32) -> u32 {
    repeated(|| store.expire(limit, Among::AllBut(&[])))
        .await
        .count
}

/// How many alerts failed because no instance had their send port for so long.
pub(crate) async fn fail_unrouted(store: &Arc<dyn Store>, after: Duration, limit: u32) -> u32 {
    repeated(|| store.fail_unrouted(after, limit, Among::AllBut(&[])))
        .await
        .count
}

/// How many leases of the dead were taken over.
pub(crate) async fn take_over(store: &Arc<dyn Store>, by: InstanceId, limit: u32) -> u32 {
    repeated(|| store.take_over(by, limit, Among::AllBut(&[])))
        .await
        .count
}

/// A request about the alerts that match, as somebody called `anna` writes it.
pub(crate) fn request(verb: OperatorVerb, filter: RequestFilter) -> NewRequest {
    NewRequest {
        verb,
        filter,
        recipients: (verb == OperatorVerb::Requeue).then_some(RequeueRecipients::Failed),
        new_message_id: false,
        redirect_to: None,
        bodies_only: false,
        comment: Some("runaway job".to_owned()),
        requested_by: "anna".to_owned(),
        host_name: None,
    }
}

/// About one alert.
pub(crate) fn of_alert(alert: AlertId) -> RequestFilter {
    RequestFilter {
        alert_id: Some(alert),
        ..RequestFilter::default()
    }
}

/// About all.
pub(crate) fn of_all() -> RequestFilter {
    RequestFilter {
        matches_all: true,
        ..RequestFilter::default()
    }
}

/// Adds a request; answers with its row.
pub(crate) async fn add(store: &Arc<dyn Store>, request: &NewRequest) -> RequestLine {
    let id = store.add_request(request).await.expect("a request");
    request_line(store, id).await
}

/// The row of a request.
pub(crate) async fn request_line(store: &Arc<dyn Store>, id: RequestId) -> RequestLine {
    let lines = store.requests(100).await.expect("requests");
    let line = lines.into_iter().find(|it| it.request_id == id);
    line.expect("its row")
}

/// One pass, as an instance makes it.
pub(crate) async fn pass(store: &Arc<dyn Store>, request: &RequestLine) -> PassResult {
    repeated(|| apply_pass(&**store, request, |_| {})).await
}

/// Resolves an alert that may have been sent; `None` where it is not in doubt.
pub(crate) async fn resolve(
    store: &Arc<dyn Store>,
    alert: AlertId,
    resolution: Resolution,
) -> Option<RequestId> {
    let request = ResolveRequest {
        resolution,
        comment: Some("seen in the log".to_owned()),
        requested_by: "anna".to_owned(),
        host_name: Some("desk".to_owned()),
    };
    store.resolve(alert, &request).await.expect("resolve")
}

/// Releases one alert, or all.
pub(crate) async fn release(store: &Arc<dyn Store>, only: Option<AlertId>) -> PassResult {
    let filter = only.map_or_else(of_all, of_alert);
    let release = add(store, &request(OperatorVerb::Release, filter)).await;
    pass(store, &release).await
}
