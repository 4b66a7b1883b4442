-- requeue: its age and its attempts count anew. One that was never sent, or that gets a new Message-ID, gets the
-- newest templates.
UPDATE AlertState
SET Status = 'queued', StatusAt = ?2, StatusReason = NULL, StatusReasonCode = NULL, FinalAt = NULL,
    DueAt = max(?2, coalesce((SELECT a.NotBefore FROM Alert a WHERE a.AlertId = AlertState.AlertId), ?2)),
    ExpiresAt = (SELECT a.ExpiresAt FROM Alert a WHERE a.AlertId = AlertState.AlertId AND a.ExpiresAt > ?2),
    RequeuedAt = ?2, AttemptsBefore = AttemptCount, MessageGeneration = MessageGeneration + ?3,
    TemplateVersion = CASE WHEN ?3 OR AttemptCount = 0 THEN NULL ELSE TemplateVersion END, RequestId = ?4
WHERE AlertId = ?1
