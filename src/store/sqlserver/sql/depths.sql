-- SqlServerStore::depths
-- Out of one index. Waits for nobody: rows of transactions that are not committed are not there yet.
SELECT SendPort, Status, CAST(COUNT(*) AS bigint),
       CAST(DATEDIFF(second, MIN(CreatedAt), SYSUTCDATETIME()) AS bigint)
FROM sendport.AlertRow WITH (READPAST, READCOMMITTEDLOCK)
WHERE Status IN (N'queued', N'sending', N'delayed', N'held')
GROUP BY SendPort, Status;
