-- The next rows of a pass, and the next send port.
DECLARE @rows TABLE (AlertId bigint NOT NULL PRIMARY KEY, CreatedAt datetime2(3) NOT NULL);
DECLARE @created datetime2(3) = CONVERT(datetime2(3), @P5, 121), @count int = 0, @last datetime2(3), @alert bigint,
        @port nvarchar(64);
IF @P2 > 0
    INSERT @rows
    SELECT a.AlertId, a.CreatedAt
    FROM sendport.AlertRow a WITH (READPAST, READCOMMITTEDLOCK, INDEX (PK_AlertRow), FORCESEEK)
    WHERE a.AlertId = @P2;
ELSE
BEGIN
    -- Many alerts of one INSERT have the same CreatedAt.
    INSERT @rows
    SELECT TOP (@P7) a.AlertId, a.CreatedAt
    FROM sendport.AlertRow a WITH (READPAST, READCOMMITTEDLOCK, INDEX (IX_AlertRow_Live), FORCESEEK)
    WHERE a.Status = @P3 AND a.SendPort = @P4 AND a.BodyPurged = @P8 AND a.CreatedAt = @created AND a.AlertId > @P6
    ORDER BY a.AlertId;
    SET @count = @@ROWCOUNT;
    INSERT @rows
    SELECT TOP (@P7 - @count) a.AlertId, a.CreatedAt
    FROM sendport.AlertRow a WITH (READPAST, READCOMMITTEDLOCK, INDEX (IX_AlertRow_Live), FORCESEEK)
    WHERE a.Status = @P3 AND a.SendPort = @P4 AND a.BodyPurged = @P8 AND a.CreatedAt > @created
    ORDER BY a.CreatedAt, a.AlertId;
    SET @port = (SELECT MIN(a.SendPort)
                 FROM sendport.AlertRow a WITH (READPAST, READCOMMITTEDLOCK, INDEX (IX_AlertRow_Live), FORCESEEK)
                 WHERE a.Status = @P3 AND a.SendPort > @P4);
END;
