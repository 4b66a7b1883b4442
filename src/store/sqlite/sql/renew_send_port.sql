-- renew: this send port is still there.
UPDATE SendPort SET LastSeenAt = ?2 WHERE Name = ?1
