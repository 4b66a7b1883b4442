-- stand: among how many it shares now; written only where that changes.
UPDATE Instance SET SharesOf = ?2 WHERE InstanceId = ?1 AND SharesOf <> ?2
