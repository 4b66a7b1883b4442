-- queue: the view.
SELECT SendPort, Status, Depth, OldestAt, OldestAgeSeconds, NextDueAt, WaitingFor
FROM Queue
ORDER BY SendPort, Status
