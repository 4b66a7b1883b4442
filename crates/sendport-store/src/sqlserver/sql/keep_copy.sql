-- SqlServerStore::keep_copy
-- @P1 attempt, @P2 stage, @P3 alert, @P4 send port, @P5 relay, @P6 when, @P7 Message-ID, @P8 reverse-path,
-- @P9 forward-paths, @P10 size, @P11 content. The service may not read the table, so that the key
-- alone shows what is kept already.
BEGIN TRY
    INSERT INTO sendport.AuditCopy (AttemptKey, Stage, AlertId, SendPort, Relay, CreatedAt, MessageId, ReversePath,
        ForwardPaths, SizeBytes, Content)
    VALUES (@P1, @P2, @P3, @P4, @P5, @P6, @P7, @P8, @P9, @P10, @P11);
END TRY
BEGIN CATCH
    IF ERROR_NUMBER() NOT IN (2601, 2627) THROW;
END CATCH;
