-- renew: relay states are replaced.
DELETE FROM RelayState WHERE InstanceId = ?1
