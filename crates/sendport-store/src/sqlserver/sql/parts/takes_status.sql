-- The row of the recipient n gets what the outcome says: with the lease always; without it where the relay accepted the
-- message. What went to the address of a redirect reached no recipient: see @redirected.
EXISTS (SELECT 1 FROM @held h WHERE h.AlertId = n.AlertId)
OR n.Status = N'relayed' AND EXISTS (SELECT 1 FROM @facts f WHERE f.AlertId = n.AlertId)
   AND (n.RedirectTo IS NULL OR EXISTS (SELECT 1 FROM @redirected d WHERE d.AlertId = n.AlertId))
