-- take_over: where the send port wants it so, an operator has to look first.
UPDATE AlertState SET Status = 'held', DueAt = NULL, StatusReason = ?2, StatusReasonCode = 'in-doubt'
WHERE AlertId = ?1
  AND EXISTS (SELECT 1 FROM SendPort p WHERE p.Name = AlertState.SendPort AND p.InDoubt = 'hold')
