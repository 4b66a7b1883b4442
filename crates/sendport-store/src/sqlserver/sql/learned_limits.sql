-- SqlServerStore::learned_limits
SELECT l.Relay, l.Connections, DATEDIFF(second, l.ChangedAt, SYSUTCDATETIME()), l.ThrottleReason
FROM sendport.RelayConnectionLimit l;
