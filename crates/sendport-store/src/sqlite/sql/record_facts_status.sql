-- record: the status that follows from facts; scheduling changes only where it is over. Where
-- every recipient has the message, no reason is left; ?5 says where it went instead.
UPDATE AlertState
SET Status = ?2, StatusAt = CASE WHEN Status = ?2 THEN StatusAt ELSE ?3 END,
    StatusReason = CASE WHEN ?2 <> 'relayed' THEN StatusReason
                        WHEN EXISTS (SELECT 1 FROM Recipient r WHERE r.AlertId = ?1 AND r.RedirectTo IS NOT NULL)
                        THEN coalesce(CASE WHEN Status <> 'relayed' THEN ?5 END, StatusReason) END,
    DueAt = CASE WHEN ?4 THEN NULL ELSE DueAt END,
    FinalAt = CASE WHEN ?4 THEN coalesce(FinalAt, ?3) END,
    ExpiresAt = CASE WHEN ?4 THEN NULL ELSE ExpiresAt END
WHERE AlertId = ?1
