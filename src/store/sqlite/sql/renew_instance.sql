-- renew: only while the lease still runs.
UPDATE Instance SET RenewedAt = ?2, LeaseUntil = ?3
WHERE InstanceId = ?1 AND StoppedAt IS NULL AND LeaseUntil > ?2
