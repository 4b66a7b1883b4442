-- The request q is about the alert a with the state s. Relay and cause are of one recipient that it would change. A cancel spares what
-- was put back into the queue after it.
(q.AlertId IS NULL OR s.AlertId = q.AlertId)
AND (q.SendPort IS NULL OR s.SendPort = q.SendPort)
AND (q.AlertName IS NULL OR a.AlertName = q.AlertName)
AND (q.Reference IS NULL OR a.Reference = q.Reference)
AND (q.CreatedBy IS NULL OR a.CreatedBy = q.CreatedBy)
AND (q.Status IS NULL OR s.Status = q.Status)
AND (q.CreatedFrom IS NULL OR s.CreatedAt >= q.CreatedFrom)
AND (q.CreatedUntil IS NULL OR s.CreatedAt <= q.CreatedUntil)
AND (q.Verb <> 'cancel' OR s.RequeuedAt IS NULL OR s.RequeuedAt <= q.RequestedAt)
AND (q.Relay IS NULL AND q.ExplanationKey IS NULL
     OR EXISTS (SELECT 1 FROM Recipient r
                WHERE r.AlertId = s.AlertId AND CASE q.Recipients WHEN 'all' THEN 1 WHEN 'redirected' THEN r.RedirectTo IS NOT NULL
                                              ELSE r.Status <> 'relayed' END
                  AND (q.Relay IS NULL OR r.Relay = q.Relay)
                  AND (q.ExplanationKey IS NULL OR r.ExplanationKey = q.ExplanationKey)))
