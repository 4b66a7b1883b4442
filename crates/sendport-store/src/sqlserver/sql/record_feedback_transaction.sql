-- SqlServerStore::record_feedback
-- @P1 the report's key, @P2 alert and @P3 the end of AttemptKey, or @P4 PublicId. Answers whether the report is recorded; the transaction;
-- and its recipients: of all the alert, where its replies were not observed.
DECLARE @alert bigint, @attempt bigint, @redirect nvarchar(320);
IF @P2 IS NOT NULL
    SELECT @alert = t.AlertId, @attempt = t.AttemptId, @redirect = t.RedirectTo
    FROM sendport.Attempt t WITH (INDEX (IX_Attempt_AlertId), FORCESEEK)
    WHERE t.AlertId = @P2 AND LOWER(RIGHT(CONVERT(nvarchar(36), t.AttemptKey), 17)) = @P3;
ELSE
    SELECT TOP (1) @alert = a.AlertId, @attempt = t.AttemptId, @redirect = t.RedirectTo
    FROM sendport.AlertRow a
    JOIN sendport.Attempt t ON t.AlertId = a.AlertId
    WHERE a.PublicId = @P4 AND t.Outcome IN (N'relayed', N'partial', N'unknown')
    ORDER BY t.AttemptId DESC;
SELECT CAST(CASE WHEN EXISTS (SELECT 1 FROM sendport.Feedback f WHERE f.FeedbackKey = @P1) THEN 1 ELSE 0 END AS bit),
       @alert, @attempt, @redirect;
SELECT r.Ordinal, r.Address
FROM sendport.Recipient r WITH (INDEX (PK_Recipient), FORCESEEK)
WHERE r.AlertId = @alert
  AND (EXISTS (SELECT 1 FROM sendport.AttemptReply p WHERE p.AttemptId = @attempt AND p.RecipientOrdinal = r.Ordinal)
       OR NOT EXISTS (SELECT 1 FROM sendport.AttemptReply p WHERE p.AttemptId = @attempt AND p.RecipientOrdinal IS NOT NULL))
ORDER BY r.Ordinal;
