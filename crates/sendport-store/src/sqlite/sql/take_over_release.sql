-- take_over: the attempt is spent, and the alert is due at once. What may have been sent says the
-- same when it is sent again: the templates of that time.
UPDATE AlertState
SET Status = ?3,
    TemplateVersion = coalesce(TemplateVersion,
        (SELECT CAST(max(c.Version) AS TEXT) FROM TemplateChange c
         WHERE c.CreatedAt <= AlertState.LeasedAt
           AND (SELECT a.Template FROM Alert a WHERE a.AlertId = ?1) IS NOT NULL)),
    StatusAt = ?2, DueAt = ?2, AttemptCount = AttemptCount + 1,
    LeaseToken = NULL, LeaseOwner = NULL, LeasedAt = NULL
WHERE AlertId = ?1
