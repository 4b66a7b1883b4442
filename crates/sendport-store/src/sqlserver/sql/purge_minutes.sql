-- SqlServerStore::purge_minutes
-- @P1 seconds since the minute, @P2 most rows of each table. Answers how many were deleted.
SET LOCK_TIMEOUT 250;
DECLARE @now datetime2(3) = SYSUTCDATETIME();
DECLARE @before datetime2(3) = DATEADD(second, -@P1, @now);
DECLARE @alerts bigint = 0, @bodies bigint = 0, @rows bigint = 0, @bytes bigint = 0;
BEGIN TRANSACTION;
{lock_retention}
DELETE TOP (@P2) FROM sendport.MinuteCount WHERE [Minute] < @before;
SET @rows = @@ROWCOUNT;
DELETE TOP (@P2) FROM sendport.MinuteLatency WHERE [Minute] < @before;
SET @rows = @rows + @@ROWCOUNT;
{note_purged}
COMMIT TRANSACTION;
SELECT @rows;
