-- SqlServerStore::learned_recipients
SELECT r.Relay, r.Recipients, r.PauseSeconds, DATEDIFF(second, r.LearnedAt, SYSUTCDATETIME())
FROM sendport.RelayRecipientLimit r;
