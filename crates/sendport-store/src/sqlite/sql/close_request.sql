-- close_request: a cancel stays in force while an alert matches that waits or is being sent, and a hold of one alert until
-- that is final. {which} is one alert, or all.
UPDATE OperatorRequest
SET RefusedCount = ?2, State = 'done', CompletedAt = ?3,
    Result = CASE WHEN Verb = 'release' AND Result LIKE 'a redirect ended%' THEN Result ELSE coalesce(Result || '; ', '')
        || CASE WHEN AppliedCount + ?2 > 0 OR Result IS NOT NULL THEN ?4
                WHEN Verb IN ('requeue', 'purge') THEN 'no alert matched'
                WHEN Verb = 'release' THEN coalesce('request ' || HoldRequestId || ' was not in force', 'nothing was held')
                ELSE ?4 END END
WHERE RequestId = ?1 AND State = 'open'
  AND (Verb <> 'hold'
       OR NOT EXISTS (SELECT 1 FROM AlertState s WHERE s.AlertId = OperatorRequest.AlertId AND s.FinalAt IS NULL))
  AND (Verb <> 'cancel'
       OR NOT EXISTS (SELECT 1 FROM AlertState s
                      CROSS JOIN Alert a ON a.AlertId = s.AlertId
                      CROSS JOIN OperatorRequest q ON q.RequestId = ?1
                      WHERE s.FinalAt IS NULL AND {which}
                        AND (s.StatusReasonCode = 'cancelling' AND s.RequestId = ?1 OR {request_matches})))
