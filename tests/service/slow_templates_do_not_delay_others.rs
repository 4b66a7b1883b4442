use std::time::Duration;

use crate::site::Site;
use crate::{any_port, import, plain_relay, send_port_over, sink_at};

/// Takes hours of a processor where the payload says so.
const SLOW: &str = "{% if slow is defined %}{% set v = namespace(x=[1], y=[1]) %}{% for i in range(60) %}{% set v.x = [v.x, v.x] %}{% set v.y = [v.y, v.y] %}{% endfor %}{{ v.x == v.y }}{% endif %}x";

/// Bad alerts of one send port, and behind them good ones of it and of another.
const ALERTS: &str = "
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 6)
    INSERT INTO Alert (ToRecipients, Subject, Template, Payload, Reference)
    SELECT 'user1@example.test', 's', 'slow', '{\"slow\": true}', 'bad' FROM n;
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3)
    INSERT INTO Alert (ToRecipients, Subject, Template, Payload, Reference)
    SELECT 'user1@example.test', 's', 'slow', '{}', 'good-of-slow' FROM n;
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20)
    INSERT INTO Alert (ToRecipients, Subject, Template, Body, Payload, SendPort, Reference)
    SELECT 'user1@example.test', 's', iif(i % 2, 'good', NULL), 'b', '{}', p.column1, 'good'
    FROM n, (VALUES ('default'), ('other')) p;";

/// Alerts whose template takes too much are rendered one at a time and wait for that outside, with
/// a reason: plain mail and other templates, of the same send port and of others, go past them, and
/// each of them comes to its own end.
#[tokio::test]
async fn slow_templates_do_not_delay_others() {
    let mails = tempfile::tempdir().expect("a folder");
    let sink = sink_at(any_port(), mails.path(), &[]).await;
    let port = send_port_over(&plain_relay(sink.local_addr()));
    let other = "[send_port.other]\nfrom = \"alerts@example.test\"\nrelays = [\"main\"]\n";
    let site = Site::with_service("max_in_flight = 8", &format!("{port}{other}"));
    import(&site, &[("slow.txt.j2", SLOW), ("good.txt.j2", "good")]);
    site.database().execute_batch(ALERTS).expect("insert");
    let service = site.run();
    let reason = "waits: template ''slow'' takes %: its alerts are rendered one at a time";
    let shown = format!(
        "SELECT count(*) FROM Queue WHERE SendPort = 'default' AND WaitingFor LIKE '{reason}, due at %'"
    );
    site.wait_until(&shown, "1", Duration::from_secs(60)).await;
    site.wait_until_all_final(Duration::from_secs(300)).await;
    let log = site.log();
    assert_eq!(service.stop(), Some(0), "{log}");

    let ends = "SELECT group_concat(e, '; ') FROM (
        SELECT Reference || ' ' || Status || ' ' || count(*) || ' ' || max(AttemptCount) AS e
        FROM AlertStatus GROUP BY Reference, Status ORDER BY 1)";
    let expected = "bad failed 6 0; good relayed 40 1; good-of-slow relayed 3 1";
    assert_eq!(site.value(ends), expected, "{log}");
    let before = "SELECT count(*) < 3 FROM AlertStatus WHERE Reference = 'bad'
        AND FinalAt < (SELECT max(FinalAt) FROM AlertStatus WHERE Reference = 'good')";
    assert_eq!(
        site.value(before),
        "1",
        "good ones waited for bad ones: {log}"
    );
    let events = "SELECT count(*) || max(Message) LIKE '1template ''slow'' takes more than 2 s of a processor: %'
        FROM EventLog WHERE EventType = 'template-limit-exceeded'";
    assert_eq!(site.value(events), "1");
    let text = log.matches("slow template isolated");
    assert_eq!(text.count(), 1, "{log}");
}
