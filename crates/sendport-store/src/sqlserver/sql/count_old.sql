-- SqlServerStore::count_old
-- @P1 status, @P2 send port, @P3 seconds since FinalAt. Answers the number of alerts with a body, and of all.
DECLARE @before datetime2(3) = DATEADD(second, -@P3, SYSUTCDATETIME());
SELECT CAST(COALESCE(SUM(CASE WHEN a.BodyPurged = 0 THEN 1 ELSE 0 END), 0) AS bigint), COUNT_BIG(*)
FROM sendport.AlertRow a WITH (READUNCOMMITTED, INDEX (IX_AlertRow_Live), FORCESEEK)
WHERE a.Status = @P1 AND a.SendPort = @P2 AND a.BodyPurged IN (0, 1) AND a.CreatedAt <= @before AND a.FinalAt <= @before;
