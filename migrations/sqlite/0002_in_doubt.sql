-- What becomes of an alert whose attempt ended unseen, and where one sees those.

-- 'retry': sent again, with the same Message-ID. 'hold': held until an operator resolves it.
ALTER TABLE SendPort ADD COLUMN InDoubt TEXT NOT NULL DEFAULT 'retry'
    CONSTRAINT CK_SendPort_InDoubt CHECK (InDoubt IN ('retry', 'hold'));

-- One line for each alert that may have been sent: not final, not leased, and the end of its
-- latest attempt was not seen. CROSS JOIN keeps the order: what is live first, finished ones never.
CREATE VIEW InDoubt AS
SELECT s.AlertId, a.PublicId, a.Reference, a.SendPort, a.Subject, s.Status, s.StatusReason,
       t.AttemptId, t.AttemptNumber, t.Relay, t.MessageId, t.StartedAt, t.EndedAt, t.RemoteAddress,
       s.DueAt AS NextAttemptAt, a.CreatedAt, a.CreatedBy
FROM AlertState s
CROSS JOIN Attempt t ON t.AlertId = s.AlertId
CROSS JOIN Alert a ON a.AlertId = s.AlertId
WHERE s.FinalAt IS NULL AND s.Status IN ('queued', 'delayed', 'held') AND s.AttemptCount > 0
  AND t.Outcome = 'unknown'
  AND NOT EXISTS (SELECT 1 FROM Attempt l
                  WHERE l.AlertId = t.AlertId
                    AND (l.AttemptNumber > t.AttemptNumber
                         OR (l.AttemptNumber = t.AttemptNumber AND l.AttemptId > t.AttemptId)));
