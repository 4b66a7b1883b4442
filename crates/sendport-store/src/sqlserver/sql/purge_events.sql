-- SqlServerStore::purge_events
-- @P1 seconds since LoggedAt, @P2 most rows. Answers how many were deleted.
-- Rows are in the order of time: only the first ones are looked at.
SET LOCK_TIMEOUT 250;
DECLARE @now datetime2(3) = SYSUTCDATETIME();
DECLARE @before datetime2(3) = DATEADD(second, -@P1, @now);
DECLARE @alerts bigint = 0, @bodies bigint = 0, @rows bigint = 0, @bytes bigint = 0;
DECLARE @first TABLE (EventId bigint NOT NULL PRIMARY KEY, LoggedAt datetime2(3) NOT NULL);
BEGIN TRANSACTION;
{lock_retention}
INSERT @first
SELECT TOP (@P2) e.EventId, e.LoggedAt
FROM sendport.EventLog e WITH (READPAST, ROWLOCK, READCOMMITTEDLOCK, INDEX (PK_EventLog), FORCESEEK)
WHERE e.EventId > 0
ORDER BY e.EventId;
DELETE e
FROM @first f
JOIN sendport.EventLog e WITH (ROWLOCK, INDEX (PK_EventLog), FORCESEEK) ON e.EventId = f.EventId
WHERE f.LoggedAt <= @before;
SET @rows = @@ROWCOUNT;
{note_purged}
COMMIT TRANSACTION;
SELECT @rows;
