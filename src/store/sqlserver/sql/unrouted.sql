-- SqlServerStore::fail_unrouted
-- @P1 limit, @P2 seconds.
-- Answers AlertId, StatusAt, SendPort, the time that passed, how many recipients it has, and the
-- three lists, of alerts that have been due for so long, and
-- whose send port no instance has had for as long.
DECLARE @now datetime2(3) = SYSUTCDATETIME();
DECLARE @before datetime2(3) = DATEADD(second, -@P2, @now);
DECLARE @ids TABLE (AlertId bigint NOT NULL PRIMARY KEY);
DECLARE @ports TABLE (SendPort nvarchar(64) COLLATE Latin1_General_BIN2 NOT NULL,
                      Priority nvarchar(16) COLLATE Latin1_General_BIN2 NOT NULL);
DECLARE @port nvarchar(64) = (SELECT MIN(SendPort) FROM sendport.AlertRow);

-- From one send port to the next by seeks, however many alerts each has.
WHILE @port IS NOT NULL
BEGIN
    IF NOT EXISTS (SELECT 1 FROM sendport.SendPort p WHERE p.Name = @port AND p.LastSeenAt > @before)
        INSERT @ports VALUES (@port, N'urgent'), (@port, N'normal'), (@port, N'low');
    SET @port = (SELECT MIN(SendPort) FROM sendport.AlertRow WHERE SendPort > @port);
END;
-- Who waits for a NotBefore stands there with a DueAt that no claim has moved.
INSERT @ids
SELECT TOP (@P1) a.AlertId
FROM @ports p JOIN sendport.AlertRow a WITH (READPAST, ROWLOCK, READCOMMITTEDLOCK)
  ON a.SendPort = p.SendPort AND a.Priority = p.Priority AND a.DueAt <= @before
WHERE a.NotBefore IS NULL OR a.NotBefore <= @before;

SELECT a.AlertId, a.StatusAt, a.SendPort, a.DueAt,
       (SELECT COUNT(*) FROM sendport.Recipient r WHERE r.AlertId = a.AlertId),
       a.ToRecipients, a.CcRecipients, a.BccRecipients
FROM @ids i JOIN sendport.AlertRow a ON a.AlertId = i.AlertId ORDER BY a.AlertId;
