-- SqlServerStore::throttled_relays
DECLARE @now datetime2(3) = SYSUTCDATETIME();
SELECT t.Relay, CASE WHEN t.RetryAt > @now THEN DATEDIFF(second, @now, t.RetryAt) ELSE 0 END, t.Reply
FROM sendport.RelayThrottle t;
