-- SqlServerStore::purge_counts
-- @P1 seconds since the day, @P2 most rows. Answers how many were deleted.
SET LOCK_TIMEOUT 250;
DECLARE @now datetime2(3) = SYSUTCDATETIME();
DECLARE @alerts bigint = 0, @bodies bigint = 0, @rows bigint = 0, @bytes bigint = 0;
BEGIN TRANSACTION;
{lock_retention}
DELETE TOP (@P2) FROM sendport.DailyCount WHERE [Day] < CONVERT(date, DATEADD(second, -@P1, @now));
SET @rows = @@ROWCOUNT;
{note_purged}
COMMIT TRANSACTION;
SELECT @rows;
