-- show_condition: what keeps an instance from sending or from recording.
UPDATE Instance SET WaitingFor = ?2, UnrecordedCount = ?3, UnrecordedSince = ?4, UnclaimedCount = ?5, UnclaimedSince = ?6
WHERE InstanceId = ?1
