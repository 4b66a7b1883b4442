-- live_send_ports (expire, fail_unrouted, note_unrouted): send ports that something waits for, read by skipping through the index.
WITH RECURSIVE Port (Name) AS (
    SELECT (SELECT SendPort FROM AlertState WHERE FinalAt IS NULL ORDER BY SendPort LIMIT 1)
    UNION ALL
    SELECT (SELECT s.SendPort FROM AlertState s
            WHERE s.FinalAt IS NULL AND s.SendPort > p.Name ORDER BY s.SendPort LIMIT 1)
    FROM Port p WHERE p.Name IS NOT NULL
)
SELECT p.Name, sp.MaxAgeSeconds, sp.LastSeenAt
FROM Port p
LEFT JOIN SendPort sp ON sp.Name = p.Name
WHERE p.Name IS NOT NULL
