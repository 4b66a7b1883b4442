-- requeue: what the relay said, and where a redirect sent to, is in the attempts.
UPDATE Recipient
SET WasRelayed = CASE WHEN Status = 'relayed' AND RedirectTo IS NULL THEN 1 ELSE WasRelayed END, Status = 'queued', StatusAt = ?2, AttemptCount = 0, Relay = NULL, Command = NULL, ReplyCode = NULL,
    EnhancedStatusCode = NULL, ReplyText = NULL, ExplanationKey = NULL, Remark = NULL, RedirectTo = NULL
WHERE AlertId = ?1 AND Status IN ('failed', 'expired', 'cancelled', 'relayed')
  AND CASE ?3 WHEN 'all' THEN 1 WHEN 'redirected' THEN RedirectTo IS NOT NULL ELSE Status <> 'relayed' END
