-- SqlServerStore::release_held, where a row was refused.
-- Parameters and {among} as in release_held.sql. Answers ids, out of the index alone.
SELECT TOP (@P3) a.AlertId
FROM sendport.AlertRow a WITH (INDEX (IX_AlertRow_Live), FORCESEEK)
WHERE a.Status = N'held' AND a.AlertId BETWEEN @P1 AND @P2
  {among};
