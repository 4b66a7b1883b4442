-- SqlServerStore::register
-- @P1 name, @P2 from, @P3 protection, @P4 seconds, @P5 in doubt, and from @P6 on its relays:
-- {rows} becomes (@P1, 0, @P6), ... Two instances may start at once: the lock lets one wait for the other.
DECLARE @now datetime2(3) = SYSUTCDATETIME();
BEGIN TRANSACTION;
UPDATE p SET FromAddress = @P2, Protection = @P3, MaxAgeSeconds = @P4, LastSeenAt = @now,
    InDoubt = @P5
FROM sendport.SendPort p WITH (UPDLOCK, HOLDLOCK) WHERE p.Name = @P1;
IF @@ROWCOUNT = 0
    INSERT INTO sendport.SendPort (Name, FromAddress, Protection, MaxAgeSeconds, LastSeenAt, InDoubt)
    VALUES (@P1, @P2, @P3, @P4, @now, @P5);
DELETE FROM sendport.SendPortRelay WHERE SendPort = @P1;
INSERT INTO sendport.SendPortRelay (SendPort, Ordinal, Relay) VALUES {rows};
COMMIT TRANSACTION;
