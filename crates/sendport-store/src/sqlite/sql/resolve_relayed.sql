-- resolve: the relay has it. Recipients that were refused or left out in that very attempt wait on.
UPDATE Recipient
SET Status = 'relayed', StatusAt = ?2, Relay = coalesce(?3, Relay), Command = NULL, ReplyCode = NULL,
    EnhancedStatusCode = NULL, ReplyText = ?4, ExplanationKey = NULL,
    Remark = (SELECT 'redirected to ' || t.RedirectTo FROM Attempt t WHERE t.AttemptId = ?5),
    RedirectTo = (SELECT t.RedirectTo FROM Attempt t WHERE t.AttemptId = ?5)
WHERE AlertId = ?1 AND Status IN ('queued', 'delayed')
  AND (EXISTS (SELECT 1 FROM AttemptReply p
               WHERE p.AttemptId = ?5 AND p.RecipientOrdinal = Recipient.Ordinal AND p.ReplyCode < 400)
       OR NOT EXISTS (SELECT 1 FROM AttemptReply p
                      WHERE p.AttemptId = ?5 AND p.RecipientOrdinal IS NOT NULL))
