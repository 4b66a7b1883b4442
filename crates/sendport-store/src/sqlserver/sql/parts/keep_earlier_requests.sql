-- The request @request changes the alerts of @ids: those that changed them before stay known. SQLite has a trigger for it;
-- here a DBA may not allow one on a table that applications write.
INSERT INTO sendport.EarlierRequest (AlertId, RequestId)
SELECT a.AlertId, a.RequestId
FROM sendport.AlertRow a WITH (INDEX (PK_AlertRow), FORCESEEK) JOIN @ids i ON i.AlertId = a.AlertId
WHERE a.RequestId <> @request
  AND NOT EXISTS (SELECT 1 FROM sendport.EarlierRequest e WITH (INDEX (PK_EarlierRequest), FORCESEEK)
                  WHERE e.AlertId = a.AlertId AND e.RequestId = a.RequestId);
