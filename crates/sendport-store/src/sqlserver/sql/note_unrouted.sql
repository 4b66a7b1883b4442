-- SqlServerStore::note_unrouted
-- @P1 limit for each send port, @P2 seconds, @P3 in how many minutes they fail.
-- Says of alerts that are due that no instance has had their send port for so long. Looks at the
-- first 2,000 of each send port: what is behind them waits for the same. Answers the send ports
-- and how many alerts it was written into.
SET LOCK_TIMEOUT 250;
DECLARE @now datetime2(3) = SYSUTCDATETIME();
DECLARE @before datetime2(3) = DATEADD(second, -@P2, @now);
DECLARE @ids TABLE (AlertId bigint NOT NULL PRIMARY KEY);
DECLARE @noted TABLE (SendPort nvarchar(64) COLLATE Latin1_General_BIN2 NOT NULL, Alerts int NOT NULL);
DECLARE @port nvarchar(64), @spelling nvarchar(64), @like nvarchar(64), @reason nvarchar(400), @count int;

SET @port = (SELECT MIN(SendPort)
             FROM sendport.AlertRow WITH (READPAST, READCOMMITTEDLOCK, INDEX (IX_AlertRow_Due), FORCESEEK)
             WHERE SendPort >= N'');
WHILE @port IS NOT NULL
BEGIN
    IF NOT EXISTS (SELECT 1 FROM sendport.SendPort p WHERE p.Name = @port AND p.LastSeenAt > @before)
    BEGIN
        DELETE FROM @ids;
        INSERT @ids (AlertId)
        SELECT TOP (@P1) t.AlertId
        FROM (SELECT TOP (2000) a.AlertId, a.StatusReason
              FROM sendport.AlertRow a WITH (READPAST, READCOMMITTEDLOCK, INDEX (IX_AlertRow_Due), FORCESEEK)
              WHERE a.SendPort = @port AND a.DueAt <= @now AND a.LeaseToken IS NULL
                AND (a.NotBefore IS NULL OR a.NotBefore <= @now)) t
        WHERE t.StatusReason IS NULL;
        SET @count = (SELECT COUNT(*) FROM @ids);
        -- Invisible characters around it: tab, line ends, blank, no-break space, zero-width space, byte order mark.
        SET @spelling = LOWER(@port);
        SET @spelling = REPLACE(REPLACE(REPLACE(@spelling COLLATE Latin1_General_BIN2, NCHAR(9), N' '), NCHAR(10), N' '), NCHAR(13), N' ');
        SET @spelling = REPLACE(REPLACE(REPLACE(@spelling COLLATE Latin1_General_BIN2, NCHAR(160), N' '), NCHAR(8203), N' '), NCHAR(65279), N' ');
        SET @spelling = LTRIM(RTRIM(@spelling));
        SET @like = (SELECT MIN(p.Name) FROM sendport.SendPort p
                     WHERE LOWER(p.Name) = @spelling AND p.Name <> @port AND p.LastSeenAt > @before);
        SET @reason = N'no running instance had a send port named ''' + @port + N''' when it was due; it fails after ' +
            CAST(@P3 AS nvarchar(10)) + N' minutes without one' +
            COALESCE(N'. There is ''' + @like + N''': names are compared letter by letter, white space too', N'');
        IF @count > 0
        BEGIN
            UPDATE a SET StatusReason = @reason, StatusReasonCode = N'no-such-send-port'
            FROM sendport.AlertRow a WITH (ROWLOCK, INDEX (PK_AlertRow), FORCESEEK)
            JOIN @ids i ON i.AlertId = a.AlertId
            WHERE a.LeaseToken IS NULL AND a.DueAt IS NOT NULL AND a.StatusReason IS NULL;
            INSERT @noted (SendPort, Alerts) VALUES (@port, @count);
        END;
    END;
    SET @port = (SELECT MIN(SendPort)
                 FROM sendport.AlertRow WITH (READPAST, READCOMMITTEDLOCK, INDEX (IX_AlertRow_Due), FORCESEEK)
                 WHERE SendPort > @port);
END;
SELECT SendPort, Alerts FROM @noted;
