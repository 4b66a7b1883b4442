-- The request q is about the alert a. Relay and cause are of one recipient that it would change. A cancel spares what
-- was put back into the queue after it.
(q.AlertId IS NULL OR a.AlertId = q.AlertId)
AND (q.SendPort IS NULL OR a.SendPort = q.SendPort)
AND (q.AlertName IS NULL OR a.AlertName = q.AlertName)
AND (q.Reference IS NULL OR a.Reference = q.Reference)
AND (q.CreatedBy IS NULL OR a.CreatedBy = q.CreatedBy)
AND (q.Status IS NULL OR a.Status = q.Status)
AND (q.CreatedFrom IS NULL OR a.CreatedAt >= q.CreatedFrom)
AND (q.CreatedUntil IS NULL OR a.CreatedAt <= q.CreatedUntil)
AND (q.Verb <> N'cancel' OR a.RequeuedAt IS NULL OR a.RequeuedAt <= q.RequestedAt)
AND (q.Relay IS NULL AND q.ExplanationKey IS NULL
     OR EXISTS (SELECT 1 FROM sendport.Recipient r WITH (READUNCOMMITTED, INDEX (PK_Recipient), FORCESEEK)
                WHERE r.AlertId = a.AlertId AND (q.Recipients = N'all' OR q.Recipients = N'redirected' AND r.RedirectTo IS NOT NULL
                       OR COALESCE(q.Recipients, N'failed') = N'failed' AND r.Status <> N'relayed')
                  AND (q.Relay IS NULL OR r.Relay = q.Relay)
                  AND (q.ExplanationKey IS NULL OR r.ExplanationKey = q.ExplanationKey)))
