-- SqlServerStore::expire
-- @P1 limit, @P2 seconds of age where the send port was never published; {among} becomes a condition about
-- AlertId, or nothing.
-- Answers AlertId, StatusAt, SendPort, the time that passed, how many recipients it has, and the
-- three lists, of alerts whose time ran out.
SET LOCK_TIMEOUT 250;
DECLARE @now datetime2(3) = SYSUTCDATETIME();
DECLARE @ids TABLE (AlertId bigint NOT NULL PRIMARY KEY, Until datetime2(3) NOT NULL);
DECLARE @queues TABLE (Status nvarchar(16) COLLATE Latin1_General_BIN2 NOT NULL,
                       SendPort nvarchar(64) COLLATE Latin1_General_BIN2 NOT NULL,
                       Age int NOT NULL, Before datetime2(3) NOT NULL);
DECLARE @status nvarchar(16) = N'queued', @port nvarchar(64), @age int;

-- READPAST: what cannot be locked now is looked at in the next round. X, and with it the row itself by a
-- column that is not in the index (LeaseToken, NULL in all that waits): a row that others read in a
-- serializable transaction must not fill the TOP again and again.
-- FORCESEEK here and below: a scan would wait for applications that insert.
INSERT @ids
SELECT TOP (@P1) a.AlertId, a.ExpiresAt
FROM sendport.AlertRow a WITH (READPAST, XLOCK, ROWLOCK, READCOMMITTEDLOCK, INDEX (IX_AlertRow_ExpiresAt), FORCESEEK)
WHERE a.Status IN (N'queued', N'delayed', N'held') AND a.ExpiresAt <= @now AND a.LeaseToken IS NULL
  -- A requeue knows better than an ExpiresAt that lay before it.
  AND (a.RequeuedAt IS NULL OR a.RequeuedAt < a.ExpiresAt)
  {among};

-- From one send port to the next by seeks, however many alerts each has.
WHILE @status IS NOT NULL
BEGIN
    SET @port = (SELECT MIN(SendPort)
                 FROM sendport.AlertRow WITH (READPAST, READCOMMITTEDLOCK, INDEX (IX_AlertRow_Live), FORCESEEK)
                 WHERE Status = @status);
    WHILE @port IS NOT NULL
    BEGIN
        SET @age = (SELECT p.MaxAgeSeconds FROM sendport.SendPort p WHERE p.Name = @port);
        SET @age = COALESCE(@age, @P2);
        INSERT @queues VALUES (@status, @port, @age, DATEADD(second, -@age, @now));
        SET @port = (SELECT MIN(SendPort)
                     FROM sendport.AlertRow WITH (READPAST, READCOMMITTEDLOCK, INDEX (IX_AlertRow_Live), FORCESEEK)
                     WHERE Status = @status AND SendPort > @port);
    END;
    SET @status = CASE @status WHEN N'queued' THEN N'delayed' WHEN N'delayed' THEN N'held' END;
END;
-- The age counts from the insert or the latest requeue, or from a later NotBefore.
INSERT @ids
SELECT TOP (@P1) a.AlertId,
       DATEADD(second, q.Age, CASE WHEN a.NotBefore > COALESCE(a.RequeuedAt, a.CreatedAt) AND a.NotBefore <= q.Before
                                   THEN a.NotBefore ELSE COALESCE(a.RequeuedAt, a.CreatedAt) END)
FROM @queues q
JOIN sendport.AlertRow a WITH (READPAST, XLOCK, ROWLOCK, READCOMMITTEDLOCK, INDEX (IX_AlertRow_Live), FORCESEEK)
  ON a.Status = q.Status AND a.SendPort = q.SendPort AND a.BodyPurged = 0 AND a.CreatedAt <= q.Before
WHERE a.LeaseToken IS NULL AND (a.RequeuedAt IS NULL OR a.RequeuedAt <= q.Before)
  AND (a.NotBefore IS NULL OR a.NotBefore <= q.Before)
  AND NOT EXISTS (SELECT 1 FROM @ids i WHERE i.AlertId = a.AlertId)
  {among};

SELECT TOP (@P1) a.AlertId, a.StatusAt, a.SendPort, i.Until,
       (SELECT COUNT(*) FROM sendport.Recipient r WITH (READUNCOMMITTED, INDEX (PK_Recipient), FORCESEEK) WHERE r.AlertId = a.AlertId),
       a.ToRecipients, a.CcRecipients, a.BccRecipients
FROM @ids i
JOIN sendport.AlertRow a WITH (READPAST, READCOMMITTEDLOCK, INDEX (PK_AlertRow), FORCESEEK) ON a.AlertId = i.AlertId
ORDER BY i.Until, a.AlertId;
