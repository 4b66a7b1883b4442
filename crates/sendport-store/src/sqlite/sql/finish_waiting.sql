-- finish (expire, fail_unrouted, adopt), resolve: recipients that still waited; what the relay last said, or what was waited for, stays
-- readable. One that was relayed before a requeue is relayed.
UPDATE Recipient
SET Status = CASE WasRelayed WHEN 1 THEN 'relayed' ELSE ?2 END, StatusAt = ?3,
    ExplanationKey = CASE WasRelayed WHEN 1 THEN NULL ELSE ?4 END,
    ReplyText = CASE WasRelayed WHEN 1 THEN 'relayed before the requeue; then ' ELSE '' END || ?5 || CASE WHEN ReplyText IS NULL
    THEN coalesce('; it ' || (SELECT StatusReason FROM AlertState s
                             WHERE s.AlertId = Recipient.AlertId AND s.StatusReasonCode = 'waiting'),
                  -- Due, and no relay could be had: what the view Queue says of it.
                  (SELECT '; relay ' || rs.Relay || ' unavailable since ' || rs.Since || ': ' || rs.Reply
                   FROM AlertState s
                   JOIN SendPortRelay pr ON pr.SendPort = s.SendPort
                   JOIN RelayState rs ON rs.Relay = pr.Relay
                   JOIN Instance i ON i.InstanceId = rs.InstanceId
                   WHERE s.AlertId = Recipient.AlertId AND s.Status <> 'held' AND ?2 = 'expired'
                     AND rs.Condition <> 'closed' AND rs.Reply IS NOT NULL AND i.StoppedAt IS NULL
                   ORDER BY pr.Ordinal, rs.Since LIMIT 1), '')
    ELSE '; the last reply was: ' || ReplyText END
WHERE AlertId = ?1 AND Status IN ('queued', 'delayed')
