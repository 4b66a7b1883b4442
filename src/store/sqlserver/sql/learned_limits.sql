-- SqlServerStore::learned_limits
SELECT l.Relay, l.Connections, DATEDIFF(second, l.ChangedAt, SYSUTCDATETIME()), l.ThrottledBy
FROM sendport.RelayLimit l;
