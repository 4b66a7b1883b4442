-- SqlServerStore::expire, where a row was refused.
-- Parameters and {among} as in expire.sql. Answers ids. Locks nothing, and reads the indexes alone: a row
-- that is damaged is not met here.
DECLARE @now datetime2(3) = SYSUTCDATETIME();
SELECT TOP (@P1) found.AlertId
FROM (
    SELECT a.AlertId
    FROM sendport.AlertRow a WITH (READPAST, READCOMMITTEDLOCK, INDEX (IX_AlertRow_ExpiresAt), FORCESEEK)
    WHERE a.Status IN (N'queued', N'delayed', N'held') AND a.ExpiresAt <= @now
      {among}
    UNION
    SELECT a.AlertId
    FROM sendport.AlertRow a WITH (READPAST, READCOMMITTEDLOCK, INDEX (IX_AlertRow_Live), FORCESEEK)
    LEFT JOIN sendport.SendPort p ON p.Name = a.SendPort
    WHERE a.Status IN (N'queued', N'delayed', N'held') AND a.BodyPurged = 0
      AND a.CreatedAt <= DATEADD(second, -COALESCE(p.MaxAgeSeconds, @P2), @now)
      AND (a.RequeuedAt IS NULL OR a.RequeuedAt <= DATEADD(second, -COALESCE(p.MaxAgeSeconds, @P2), @now))
      AND (a.NotBefore IS NULL OR a.NotBefore <= DATEADD(second, -COALESCE(p.MaxAgeSeconds, @P2), @now))
      {among}
) found
ORDER BY found.AlertId;
