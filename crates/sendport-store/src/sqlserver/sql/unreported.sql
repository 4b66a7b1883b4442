-- SqlServerStore::unreported
-- @P1 send port, @P2 seconds to look back, @P3 of how many alerts; {among} becomes a condition about AlertId, or
-- nothing. Answers how many alerts there are in all, then the failed recipients of the oldest alerts.
-- READPAST: what others have locked is reported another time. FORCESEEK: a scan waits for applications that insert.
SET LOCK_TIMEOUT 250;
DECLARE @since datetime2(3) = DATEADD(second, -@P2, SYSUTCDATETIME());
DECLARE @found TABLE (AlertId bigint NOT NULL PRIMARY KEY, FinalAt datetime2(3) NOT NULL);
INSERT @found
SELECT a.AlertId, a.FinalAt
FROM sendport.AlertRow a WITH (READPAST, READCOMMITTEDLOCK, INDEX (IX_AlertRow_Live), FORCESEEK)
WHERE a.Status IN (N'partial', N'failed', N'expired') AND a.SendPort = @P1 AND a.FinalAt >= @since
  AND a.Origin <> N'digest'
  AND NOT EXISTS (SELECT 1 FROM sendport.FailureNotification t WHERE t.AlertId = a.AlertId)
  AND (EXISTS (SELECT 1 FROM sendport.Recipient r WITH (INDEX (PK_Recipient), FORCESEEK)
               WHERE r.AlertId = a.AlertId AND r.Status IN (N'failed', N'expired'))
       OR NOT EXISTS (SELECT 1 FROM sendport.Recipient r WITH (INDEX (PK_Recipient), FORCESEEK)
                      WHERE r.AlertId = a.AlertId))
  {among};
SELECT COUNT(*) FROM @found;
SELECT u.AlertId, a.Reference, a.Subject, r.Address, COALESCE(r.Status, a.Status), COALESCE(r.StatusAt, a.StatusAt),
       r.Relay,
       COALESCE(COALESCE(N'redirected to ' + r.RedirectTo + N': ', N'') + COALESCE(CONVERT(nvarchar(10), NULLIF(r.ReplyCode, 0)) + N' ', N'') +
                COALESCE(r.EnhancedStatusCode + N' ', N'') + r.ReplyText, a.StatusReason),
       e.Advice
FROM (SELECT TOP (@P3) f.AlertId, f.FinalAt FROM @found f ORDER BY f.FinalAt, f.AlertId) u
JOIN sendport.AlertRow a WITH (INDEX (PK_AlertRow), FORCESEEK) ON a.AlertId = u.AlertId
LEFT JOIN sendport.Recipient r WITH (INDEX (PK_Recipient), FORCESEEK)
  ON r.AlertId = u.AlertId AND r.Status IN (N'failed', N'expired')
LEFT JOIN sendport.ReplyExplanation e ON e.ExplanationKey = r.ExplanationKey
ORDER BY u.FinalAt, u.AlertId, r.Ordinal;
