-- SqlServerStore::release_held
-- @P1 first id, @P2 last id, @P3 most in one transaction; {among} becomes a
-- condition about AlertId, or nothing. Answers how many. FORCESEEK: a scan waits for
-- applications that insert.
DECLARE @now datetime2(3) = SYSUTCDATETIME();
UPDATE TOP (@P3) a
SET Status = {waiting_status},
    StatusAt = @now, StatusReason = NULL, StatusReasonCode = NULL,
    DueAt = CASE WHEN a.NotBefore > @now THEN a.NotBefore ELSE @now END
FROM sendport.AlertRow a WITH (INDEX (IX_AlertRow_Live), FORCESEEK)
WHERE a.Status = N'held' AND a.AlertId BETWEEN @P1 AND @P2
  {among};
SELECT @@ROWCOUNT;
