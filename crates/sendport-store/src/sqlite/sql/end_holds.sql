-- end_holds: those that the release ?1 names: one, all, or those with the same target. A redirect ends by its number
-- alone, so that no release of a hold lets messages out to their recipients.
UPDATE OperatorRequest
SET State = 'done', CompletedAt = ?2, Result = 'released by request ' || ?1
WHERE State = 'open' AND Verb IN ('hold', 'redirect') AND RequestId < ?1
  AND EXISTS (SELECT 1 FROM OperatorRequest q
              WHERE q.RequestId = ?1
                AND (q.HoldRequestId = OperatorRequest.RequestId
                     OR OperatorRequest.Verb = 'hold' AND q.MatchesAll
                     OR OperatorRequest.Verb = 'hold' AND q.HoldRequestId IS NULL AND q.AlertId IS OperatorRequest.AlertId
                        AND q.SendPort IS OperatorRequest.SendPort AND q.AlertName IS OperatorRequest.AlertName))
