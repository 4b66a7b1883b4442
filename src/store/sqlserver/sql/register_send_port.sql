-- SqlServerStore::register
-- @P1 name, @P2 from, @P3 protection, @P4 seconds, and from @P5 on its relays: {rows} becomes
-- (@P1, 0, @P5), ... Two instances may start at once: the lock lets one wait for the other.
DECLARE @now datetime2(3) = SYSUTCDATETIME();
BEGIN TRANSACTION;
UPDATE p SET FromAddress = @P2, Protection = @P3, MaxAgeSeconds = @P4, LastSeenAt = @now
FROM sendport.SendPort p WITH (UPDLOCK, HOLDLOCK) WHERE p.Name = @P1;
IF @@ROWCOUNT = 0
    INSERT INTO sendport.SendPort (Name, FromAddress, Protection, MaxAgeSeconds, LastSeenAt)
    VALUES (@P1, @P2, @P3, @P4, @now);
DELETE FROM sendport.SendPortRelay WHERE SendPort = @P1;
INSERT INTO sendport.SendPortRelay (SendPort, Ordinal, Relay) VALUES {rows};
COMMIT TRANSACTION;
