-- retire: the run has ended, and so has its lease; what it could not record or claim is done, or another one's.
UPDATE Instance SET StoppedAt = coalesce(StoppedAt, ?2), LeaseUntil = min(LeaseUntil, ?2), WaitingFor = NULL,
    UnrecordedCount = 0, UnrecordedSince = NULL, UnclaimedCount = 0, UnclaimedSince = NULL
WHERE InstanceId = ?1
