-- stand: among how many it shares now; written only where that changes.
UPDATE Instance SET ShareCount = ?2 WHERE InstanceId = ?1 AND ShareCount <> ?2
