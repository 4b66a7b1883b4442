-- depths: how much waits. Reads what is not final, and nothing else.
-- ?1 now
SELECT SendPort, Status, count(*) AS Depth,
       CAST((julianday(?1) - julianday(min(CreatedAt))) * 86400 AS INTEGER) AS OldestAgeSeconds
FROM AlertState WHERE FinalAt IS NULL
GROUP BY SendPort, Status
