-- instances: those that run first, then the latest.
SELECT Name, HostName, ProcessId, Version, StartedAt, RenewedAt, LeaseUntil, StoppedAt,
       StoppedAt IS NULL AND LeaseUntil > ?1 AS Alive, WaitingFor, UnrecordedCount, UnrecordedSince,
       UnclaimedCount, UnclaimedSince
FROM Instance
ORDER BY Alive DESC, StartedAt DESC
LIMIT ?2
