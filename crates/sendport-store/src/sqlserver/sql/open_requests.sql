-- SqlServerStore::open_requests
-- @P1 limit. READPAST: what is not committed is not in force, and what another instance changes now is read next time. Holds
-- and redirects stay open for as long as somebody wants; they keep no other request out of the list.
SELECT TOP (@P1)
{request_columns}
FROM sendport.OperatorRequest o WITH (READPAST, READCOMMITTEDLOCK, INDEX (IX_OperatorRequest_Open), FORCESEEK)
WHERE o.State = N'open'
ORDER BY CASE WHEN o.Verb IN (N'hold', N'redirect') THEN 1 ELSE 0 END, o.RequestId;
