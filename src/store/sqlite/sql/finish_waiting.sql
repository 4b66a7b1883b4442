-- expire, fail_unrouted, adopt, resolve: recipients that still waited; what the relay last said stays readable.
UPDATE Recipient
SET Status = ?2, StatusAt = ?3, ExplanationKey = ?4,
    ReplyText = CASE WHEN ReplyText IS NULL THEN ?5 ELSE ?5 || '; the last reply was: ' || ReplyText END
WHERE AlertId = ?1 AND Status IN ('queued', 'delayed')
