-- expire, fail_unrouted, adopt, resolve: recipients that still waited; what the relay last said, or what was waited for, stays
-- readable.
UPDATE Recipient
SET Status = ?2, StatusAt = ?3, ExplanationKey = ?4,
    ReplyText = ?5 || CASE WHEN ReplyText IS NULL
    THEN coalesce('; it ' || (SELECT StatusReason FROM AlertState s
                             WHERE s.AlertId = Recipient.AlertId AND s.StatusReason LIKE 'waits for %'), '')
    ELSE '; the last reply was: ' || ReplyText END
WHERE AlertId = ?1 AND Status IN ('queued', 'delayed')
