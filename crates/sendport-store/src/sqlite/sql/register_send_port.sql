-- register: a send port of the configuration.
INSERT INTO SendPort (Name, FromAddress, Protection, MaxAgeSeconds, LastSeenAt, InDoubt)
VALUES (?1, ?2, ?3, ?4, ?5, ?6)
ON CONFLICT (Name) DO UPDATE SET
    FromAddress = excluded.FromAddress, Protection = excluded.Protection,
    MaxAgeSeconds = excluded.MaxAgeSeconds, LastSeenAt = excluded.LastSeenAt, InDoubt = excluded.InDoubt
