-- SqlServerStore::requests_in_force
-- {ids} becomes a list of parameters: alerts that are claimed. Answers those that an open request is about: the redirect
-- in force, and whether a cancel or a hold keeps them from being sent. A request with a status is about alerts that wait.
-- Waits for nobody; what others have locked in this index is not committed. Recipients is asked for, which
-- is of a requeue alone and not in this index.
SET LOCK_TIMEOUT 250;
IF EXISTS (SELECT 1 FROM sendport.OperatorRequest o WITH (READPAST, READCOMMITTEDLOCK, INDEX (IX_OperatorRequest_Open), FORCESEEK)
           WHERE o.State = N'open' AND o.Verb IN (N'cancel', N'hold', N'redirect') AND o.Status IS NULL)
    SELECT a.AlertId, MAX(CASE q.Verb WHEN N'redirect' THEN q.RequestId END),
           CAST(MAX(CASE q.Verb WHEN N'redirect' THEN 0 ELSE 1 END) AS bit)
    FROM sendport.AlertRow a WITH (READUNCOMMITTED, INDEX (PK_AlertRow), FORCESEEK)
    CROSS JOIN (SELECT o.RequestId, o.Verb, o.AlertId, o.SendPort, o.AlertName, o.Reference, o.CreatedBy, o.Relay,
                       o.ExplanationKey, o.Status, o.CreatedFrom, o.CreatedUntil, o.RequestedAt,
                       CAST(NULL AS nvarchar(16)) COLLATE Latin1_General_BIN2 AS Recipients
                FROM sendport.OperatorRequest o
                    WITH (READPAST, READCOMMITTEDLOCK, INDEX (IX_OperatorRequest_Open), FORCESEEK)
                WHERE o.State = N'open' AND o.Verb IN (N'cancel', N'hold', N'redirect') AND o.Status IS NULL) q
    WHERE a.AlertId IN ({ids})
      AND {request_matches}
    GROUP BY a.AlertId;
