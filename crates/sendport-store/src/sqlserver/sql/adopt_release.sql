-- SqlServerStore::adopt
-- @P1 most in one transaction; {among} becomes a condition about AlertId, or nothing. Ends leases, as long as it answers more than 0; nothing becomes due.
DECLARE @now datetime2(3) = SYSUTCDATETIME();
UPDATE TOP (@P1) a
SET Status = {waiting_status},
    StatusAt = @now, DueAt = NULL, LeaseToken = NULL, LeaseOwner = NULL, LeasedAt = NULL
FROM sendport.AlertRow a WITH (INDEX (IX_AlertRow_Live), FORCESEEK)
WHERE a.Status = N'sending'
  {among};
SELECT @@ROWCOUNT;
