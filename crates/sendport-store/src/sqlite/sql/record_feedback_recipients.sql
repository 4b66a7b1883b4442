-- record_feedback: the recipients of a transaction; of all the alert, where its replies were not observed.
SELECT r.Ordinal, r.Address
FROM Recipient r
WHERE r.AlertId = ?1
  AND (EXISTS (SELECT 1 FROM AttemptReply p WHERE p.AttemptId = ?2 AND p.RecipientOrdinal = r.Ordinal)
       OR NOT EXISTS (SELECT 1 FROM AttemptReply p WHERE p.AttemptId = ?2 AND p.RecipientOrdinal IS NOT NULL))
ORDER BY r.Ordinal
