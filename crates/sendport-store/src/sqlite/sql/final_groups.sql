-- final_groups: from one send port to the next by seeks, however many alerts each has.
WITH RECURSIVE
Final (Status) AS (VALUES ('relayed'), ('partial'), ('failed'), ('expired'), ('cancelled'), ('suppressed')),
Port (Status, SendPort) AS (
    SELECT f.Status, (SELECT min(s.SendPort) FROM AlertState s WHERE s.Status = f.Status AND s.FinalAt IS NOT NULL)
    FROM Final f
    UNION ALL
    SELECT p.Status, (SELECT min(s.SendPort) FROM AlertState s
                      WHERE s.Status = p.Status AND s.SendPort > p.SendPort AND s.FinalAt IS NOT NULL)
    FROM Port p WHERE p.SendPort IS NOT NULL
)
SELECT p.Status AS Status, p.SendPort AS SendPort,
       (SELECT min(s.FinalAt) FROM AlertState s
        WHERE s.Status = p.Status AND s.SendPort = p.SendPort AND s.BodyPurged = 0 AND s.FinalAt IS NOT NULL) AS OldestBody,
       (SELECT min(s.FinalAt) FROM AlertState s
        WHERE s.Status = p.Status AND s.SendPort = p.SendPort AND s.BodyPurged = 1 AND s.FinalAt IS NOT NULL) AS OldestPurged
FROM Port p
WHERE p.SendPort IS NOT NULL
ORDER BY p.Status, p.SendPort
