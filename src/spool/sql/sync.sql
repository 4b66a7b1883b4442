-- Spool::sync
-- A commit in this mode syncs the write-ahead log, and with it everything before.
PRAGMA synchronous = FULL;
INSERT INTO Synced (Id, Count) VALUES (1, 1) ON CONFLICT (Id) DO UPDATE SET Count = Count + 1;
PRAGMA synchronous = NORMAL;
