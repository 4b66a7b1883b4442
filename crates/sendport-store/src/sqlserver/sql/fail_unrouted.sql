-- SqlServerStore::fail_unrouted
-- @P1 limit, @P2 seconds; {among} becomes a condition about AlertId, or nothing.
-- Answers AlertId, StatusAt, SendPort, the time that passed, how many recipients it has, and the
-- three lists, of alerts that have been due for so long, and
-- whose send port no instance has had for as long.
SET LOCK_TIMEOUT 250;
DECLARE @now datetime2(3) = SYSUTCDATETIME();
DECLARE @before datetime2(3) = DATEADD(second, -@P2, @now);
DECLARE @ids TABLE (AlertId bigint NOT NULL PRIMARY KEY);
DECLARE @ports TABLE (SendPort nvarchar(64) COLLATE Latin1_General_BIN2 NOT NULL,
                      Priority nvarchar(16) COLLATE Latin1_General_BIN2 NOT NULL);
DECLARE @port nvarchar(64);

-- FORCESEEK here and below: a scan would wait for applications that insert.
SET @port = (SELECT MIN(SendPort)
             FROM sendport.AlertRow WITH (READPAST, READCOMMITTEDLOCK, INDEX (IX_AlertRow_Due), FORCESEEK)
             WHERE SendPort >= N'');
-- From one send port to the next by seeks, however many alerts each has.
WHILE @port IS NOT NULL
BEGIN
    IF NOT EXISTS (SELECT 1 FROM sendport.SendPort p WHERE p.Name = @port AND p.LastSeenAt > @before)
        INSERT @ports VALUES (@port, N'urgent'), (@port, N'normal'), (@port, N'low');
    SET @port = (SELECT MIN(SendPort)
                 FROM sendport.AlertRow WITH (READPAST, READCOMMITTEDLOCK, INDEX (IX_AlertRow_Due), FORCESEEK)
                 WHERE SendPort > @port);
END;
-- An alert that waits for a NotBefore has a DueAt that no claim has moved.
-- READPAST: what cannot be locked now is looked at in the next round. X, and with it the row itself by a
-- column that is not in the index (LeaseToken, NULL in all that waits): a row that others read in a
-- serializable transaction must not fill the TOP again and again.
INSERT @ids
SELECT TOP (@P1) a.AlertId
FROM @ports p
JOIN sendport.AlertRow a WITH (READPAST, XLOCK, ROWLOCK, READCOMMITTEDLOCK, INDEX (IX_AlertRow_Due), FORCESEEK)
  ON a.SendPort = p.SendPort AND a.Priority = p.Priority AND a.DueAt <= @before
WHERE a.LeaseToken IS NULL AND (a.NotBefore IS NULL OR a.NotBefore <= @before)
  {among};

SELECT a.AlertId, a.StatusAt, a.SendPort, a.DueAt,
       (SELECT COUNT(*) FROM sendport.Recipient r WITH (READUNCOMMITTED, INDEX (PK_Recipient), FORCESEEK) WHERE r.AlertId = a.AlertId),
       a.ToRecipients, a.CcRecipients, a.BccRecipients
FROM @ids i
JOIN sendport.AlertRow a WITH (READPAST, READCOMMITTEDLOCK, INDEX (PK_AlertRow), FORCESEEK) ON a.AlertId = i.AlertId
ORDER BY a.AlertId;
