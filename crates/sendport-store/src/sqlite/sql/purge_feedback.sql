-- purge_feedback: reports that match no alert; the others go with their alerts.
DELETE FROM Feedback
WHERE FeedbackId IN (SELECT f.FeedbackId FROM Feedback f WHERE f.AlertId IS NULL AND f.ReceivedAt <= ?1 LIMIT ?2)
