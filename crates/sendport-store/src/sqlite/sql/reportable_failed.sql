-- reportable: submitted messages with a failed recipient that nothing was reported of.
SELECT r.AlertId AS AlertId, min(r.StatusAt) AS At
FROM Recipient r
CROSS JOIN AlertState s ON s.AlertId = r.AlertId
CROSS JOIN ReceivedMessage m ON m.AlertId = r.AlertId
WHERE r.Status IN ('failed', 'expired') AND r.StatusAt >= ?2 AND r.StatusAt <= ?3
  AND r.StatusAt > coalesce((SELECT e.AdoptedAt FROM Environment e), '')
  AND s.SendPort = ?1 AND s.Origin <> 'report'
  AND NOT EXISTS (SELECT 1 FROM DeliveryReport d
                  WHERE d.AlertId = r.AlertId AND d.Ordinal = r.Ordinal AND d.Action = 'failed')
GROUP BY r.AlertId
ORDER BY At, r.AlertId LIMIT ?4
