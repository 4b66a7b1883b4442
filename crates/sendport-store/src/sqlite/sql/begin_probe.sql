-- begin_probe: the caller probes.
INSERT INTO RelayThrottle (Relay, ThrottledAt, WaitSeconds, RetryAt, Reply, ProbeAlertIds)
VALUES (?1, ?2, ?3, ?4, ?5, ?6)
ON CONFLICT (Relay) DO UPDATE SET
    WaitSeconds = excluded.WaitSeconds, RetryAt = excluded.RetryAt, Reply = excluded.Reply, ProbeAlertIds = excluded.ProbeAlertIds
