-- SqlServerStore::show_condition
-- @P1 id, @P2 what it waits for, @P3 outcomes that are not recorded, @P4 since when, @P5 alerts that cannot be
-- claimed, @P6 since when.
UPDATE i SET WaitingFor = @P2, UnrecordedCount = @P3, UnrecordedSince = @P4, UnclaimedCount = @P5, UnclaimedSince = @P6
FROM sendport.Instance i WHERE i.InstanceId = @P1;
