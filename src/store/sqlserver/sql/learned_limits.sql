-- SqlServerStore::learned_limits
SELECT l.Relay, l.Connections, DATEDIFF(second, l.ChangedAt, SYSUTCDATETIME()), l.SlowedBy
FROM sendport.RelayLimit l;
