-- SqlServerStore::depths
-- Out of one index, by seeks: a scan of the table meets more locks. Waits for no transaction: rows that are not committed are not there yet.
SELECT SendPort, Status, CAST(COUNT(*) AS bigint),
       CAST(DATEDIFF(second, MIN(CreatedAt), SYSUTCDATETIME()) AS bigint)
FROM sendport.AlertRow WITH (READPAST, READCOMMITTEDLOCK, INDEX (IX_AlertRow_Live), FORCESEEK)
WHERE Status IN (N'queued', N'sending', N'delayed', N'held')
GROUP BY SendPort, Status;
