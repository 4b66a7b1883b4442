-- SqlServerStore::adopt, where a row was refused.
-- Parameters and {among} as in adopt_hold.sql. Answers ids, out of the index alone.
SELECT TOP (@P1) a.AlertId
FROM sendport.AlertRow a WITH (INDEX (IX_AlertRow_Live), FORCESEEK)
WHERE a.Status IN (N'queued', N'sending', N'delayed')
  {among};
