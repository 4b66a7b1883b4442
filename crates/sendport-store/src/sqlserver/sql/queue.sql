-- SqlServerStore::queue
SELECT SendPort, Status, CAST(Depth AS bigint), OldestAt, CAST(OldestAgeSeconds AS bigint), NextDueAt, WaitingFor,
       HasInstance
FROM sendport.Queue ORDER BY SendPort, Status;
