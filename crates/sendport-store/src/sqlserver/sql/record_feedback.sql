-- SqlServerStore::record_feedback
-- @P1 key, @P2 source, @P3 kind, @P4 From, @P5 Subject, @P6 Message-ID, @P7 size, @P8 alert or NULL, @P9 why there is none,
-- @P10 what it says of others, @P11 most reports of one recipient. The braces become an insert into @reported, or nothing;
-- and the weight of o.Outcome. Answers 1 where the report was recorded before; and the recipients that it is recorded of.
SET LOCK_TIMEOUT 2000;
DECLARE @now datetime2(3) = SYSUTCDATETIME();
DECLARE @feedback bigint, @repeated bit = 0;
DECLARE @reported TABLE (Ordinal int NOT NULL PRIMARY KEY, AttemptId bigint NOT NULL,
    Outcome nvarchar(16) COLLATE Latin1_General_BIN2 NOT NULL, Weight int NOT NULL, IsCurrent bit NOT NULL,
    ReportedAt datetime2(3) NULL, ReportedBy nvarchar(400) NULL, ReportedAddress nvarchar(400) NULL, ReplyCode int NULL,
    EnhancedStatusCode nvarchar(16) NULL, ReplyText nvarchar(2000) NULL,
    BounceClass nvarchar(16) COLLATE Latin1_General_BIN2 NULL,
    ExplanationKey nvarchar(64) COLLATE Latin1_General_BIN2 NULL);
{rows}
BEGIN TRY
    BEGIN TRANSACTION;
    -- Another report of the same recipients waits for this.
    DELETE x
    FROM @reported x
    WHERE (SELECT COUNT(*)
           FROM sendport.RecipientFeedback f WITH (UPDLOCK, HOLDLOCK, INDEX (IX_RecipientFeedback_Recipient), FORCESEEK)
           WHERE f.AlertId = @P8 AND f.Ordinal = x.Ordinal) >= @P11;
    UPDATE x
    SET IsCurrent = 0
    FROM @reported x
    JOIN sendport.RecipientFeedback o WITH (INDEX (IX_RecipientFeedback_Recipient), FORCESEEK)
      ON o.AlertId = @P8 AND o.Ordinal = x.Ordinal AND o.IsCurrent = 1
    WHERE o.AttemptId > x.AttemptId OR o.AttemptId = x.AttemptId AND {weight} > x.Weight;
    UPDATE o
    SET IsCurrent = 0
    FROM @reported x
    JOIN sendport.RecipientFeedback o WITH (INDEX (IX_RecipientFeedback_Recipient), FORCESEEK)
      ON o.AlertId = @P8 AND o.Ordinal = x.Ordinal AND o.IsCurrent = 1
    WHERE x.IsCurrent = 1;
    INSERT INTO sendport.Feedback (FeedbackKey, Source, Kind, ReceivedAt, FromAddress, Subject, MessageId, SizeBytes,
        AlertId, UnmatchedReason, Summary)
    VALUES (@P1, @P2, @P3, @now, @P4, @P5, @P6, @P7, @P8, @P9, @P10);
    SET @feedback = SCOPE_IDENTITY();
    INSERT INTO sendport.RecipientFeedback (FeedbackId, AlertId, Ordinal, AttemptId, Outcome, IsCurrent, ReportedAt,
        ReportedBy, ReportedAddress, ReplyCode, EnhancedStatusCode, ReplyText, BounceClass, ExplanationKey)
    SELECT @feedback, @P8, x.Ordinal, x.AttemptId, x.Outcome, x.IsCurrent, COALESCE(x.ReportedAt, @now),
           x.ReportedBy, x.ReportedAddress, x.ReplyCode, x.EnhancedStatusCode, x.ReplyText, x.BounceClass,
           x.ExplanationKey
    FROM @reported x;
    COMMIT TRANSACTION;
END TRY
BEGIN CATCH
    IF XACT_STATE() <> 0 ROLLBACK TRANSACTION;
    IF ERROR_NUMBER() NOT IN (2601, 2627) THROW;
    SET @repeated = 1;
    DELETE FROM @reported;
END CATCH;
SELECT @repeated;
SELECT x.Ordinal FROM @reported x ORDER BY x.Ordinal;
