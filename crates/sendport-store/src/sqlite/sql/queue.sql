-- queue: the view.
SELECT SendPort, Status, Depth, OldestAt, OldestAgeSeconds, NextDueAt, WaitingFor, HasInstance
FROM Queue
ORDER BY SendPort, Status
