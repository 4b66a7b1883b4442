-- The request q changes the alert a with the state s, as both are now. A redirect is about the alerts that a hold is about.
CASE replace(q.Verb, 'redirect', 'hold')
    WHEN 'cancel' THEN s.Status IN ('queued', 'delayed', 'held')
        AND (s.StatusReasonCode = 'cancelling' AND s.RequestId = q.RequestId OR {request_matches})
    WHEN 'hold' THEN s.Status IN ('queued', 'delayed') AND {request_matches}
    -- What was held before the release.
    WHEN 'release' THEN s.Status = 'held' AND s.StatusReasonCode IS NOT 'cancelling' AND coalesce(s.RequestId, 0) < q.RequestId
        AND (s.AlertId = q.AlertId OR q.MatchesAll
             OR s.StatusReasonCode = 'operator-hold'
                AND EXISTS (SELECT 1 FROM OperatorRequest h
                            WHERE h.RequestId = s.RequestId
                              AND (h.RequestId = q.HoldRequestId OR h.SendPort = q.SendPort OR h.AlertName = q.AlertName)))
    -- What failed before the request, so that nothing is sent again and again.
    WHEN 'requeue' THEN s.FinalAt <= q.RequestedAt
        AND (s.Status IN ('failed', 'partial', 'expired', 'cancelled') OR s.Status = 'relayed' AND q.Recipients <> 'failed')
        AND (q.Recipients <> 'redirected'
             OR EXISTS (SELECT 1 FROM Recipient r WHERE r.AlertId = s.AlertId AND r.RedirectTo IS NOT NULL))
        AND {request_matches}
    WHEN 'purge' THEN s.FinalAt <= q.FinalBefore AND (NOT q.BodiesOnly OR s.BodyPurged = 0) AND {request_matches}
END
