-- SqlServerStore::adopt
-- @P1 most in one transaction, @P2 why; {among} becomes a condition about AlertId, or nothing. Answers how many are held now that waited.
DECLARE @now datetime2(3) = SYSUTCDATETIME();
UPDATE TOP (@P1) a SET Status = N'held', StatusAt = @now, StatusReason = @P2, StatusReasonCode = NULL, DueAt = NULL,
    LeaseToken = NULL, LeaseOwner = NULL, LeasedAt = NULL
FROM sendport.AlertRow a WITH (INDEX (IX_AlertRow_Live), FORCESEEK)
WHERE a.Status IN (N'queued', N'sending', N'delayed')
  {among};
SELECT @@ROWCOUNT;
