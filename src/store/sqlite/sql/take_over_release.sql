-- take_over: the attempt is spent, and the alert is due at once. What may have been sent says the
-- same when it is sent again: the templates of that time.
UPDATE AlertState
SET Status = CASE WHEN EXISTS (SELECT 1 FROM Recipient r
                               WHERE r.AlertId = AlertState.AlertId AND r.Status = 'delayed')
                  THEN 'delayed' ELSE 'queued' END,
    TemplateVersion = coalesce(TemplateVersion,
        (SELECT CAST(max(c.Version) AS TEXT) FROM TemplateChange c
         WHERE c.CreatedAt <= AlertState.LeasedAt
           AND (SELECT a.Template FROM Alert a WHERE a.AlertId = ?1) IS NOT NULL)),
    StatusAt = ?2, DueAt = ?2, AttemptCount = AttemptCount + 1,
    LeaseToken = NULL, LeaseOwner = NULL, LeasedAt = NULL
WHERE AlertId = ?1
