-- The request q changes the alert a, as it is now.
(q.Verb = N'cancel' AND a.Status IN (N'queued', N'delayed', N'held')
     AND a.StatusReasonCode = N'cancelling' AND a.RequestId = q.RequestId
 -- What was held before the release.
 OR q.Verb = N'release' AND a.Status = N'held' AND COALESCE(a.StatusReasonCode, N'') <> N'cancelling'
     AND COALESCE(a.RequestId, 0) < q.RequestId
     AND (a.AlertId = q.AlertId OR q.MatchesAll = 1
          OR a.StatusReasonCode = N'operator-hold'
             AND EXISTS (SELECT 1 FROM sendport.OperatorRequest h WITH (READUNCOMMITTED)
                         WHERE h.RequestId = a.RequestId
                           AND (h.RequestId = q.HoldRequestId OR h.SendPort = q.SendPort OR h.AlertName = q.AlertName)))
 OR (q.Verb = N'cancel' AND a.Status IN (N'queued', N'delayed', N'held')
     OR q.Verb IN (N'hold', N'redirect') AND a.Status IN (N'queued', N'delayed')
     -- What failed before the request, so that nothing is sent again and again.
     OR q.Verb = N'requeue' AND a.FinalAt <= q.RequestedAt
        AND (a.Status IN (N'failed', N'partial', N'expired', N'cancelled')
             OR a.Status = N'relayed' AND q.Recipients <> N'failed')
        AND (q.Recipients <> N'redirected'
             OR EXISTS (SELECT 1 FROM sendport.Recipient r WITH (READUNCOMMITTED, INDEX (PK_Recipient), FORCESEEK)
                        WHERE r.AlertId = a.AlertId AND r.RedirectTo IS NOT NULL))
     OR q.Verb = N'purge' AND a.FinalAt <= q.FinalBefore AND (q.BodiesOnly = 0 OR a.BodyPurged = 0))
    AND {request_matches})
