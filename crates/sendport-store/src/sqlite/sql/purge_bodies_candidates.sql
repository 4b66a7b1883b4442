-- purge_bodies: the oldest ones, with the bytes of their bodies and attachments, whose lengths are read without them.
SELECT s.AlertId AS AlertId,
       coalesce(octet_length(a.Body), 0) + coalesce(octet_length(a.Payload), 0) + coalesce(octet_length(a.Headers), 0)
           + coalesce((SELECT m.SizeBytes FROM ReceivedMessage m WHERE m.AlertId = s.AlertId), 0) AS Bytes,
       coalesce((SELECT sum(octet_length(t.Content)) FROM Attachment t WHERE t.AlertId = s.AlertId), 0) AS FileBytes
FROM AlertState s
JOIN Alert a ON a.AlertId = s.AlertId
WHERE s.Status = ?1 AND s.SendPort = ?2 AND s.BodyPurged = 0 AND s.FinalAt <= ?3
ORDER BY s.FinalAt, s.AlertId LIMIT ?4
