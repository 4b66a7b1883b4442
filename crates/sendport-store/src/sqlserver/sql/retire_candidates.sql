-- SqlServerStore::retire, where a lock timed out or a row was refused.
-- Parameters and {among} as in retire.sql. Answers ids, out of the index alone.
SELECT a.AlertId
FROM sendport.AlertRow a WITH (READPAST, READCOMMITTEDLOCK, INDEX (IX_AlertRow_LeaseOwner), FORCESEEK)
WHERE a.LeaseOwner = @P1
  {among};
