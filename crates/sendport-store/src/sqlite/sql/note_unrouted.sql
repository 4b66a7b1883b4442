-- note_unrouted: of one class, due, and without a reason; those behind the first 2,000 wait for the same.
UPDATE AlertState
SET StatusReason = ?5, StatusReasonCode = 'no-such-send-port'
WHERE AlertId IN (
    SELECT AlertId
    FROM (SELECT AlertId, StatusReason FROM AlertState
          WHERE SendPort = ?1 AND Priority = ?2 AND DueAt <= ?3 ORDER BY DueAt LIMIT 2000)
    WHERE StatusReason IS NULL
    LIMIT ?4)
