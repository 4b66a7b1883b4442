-- end_throttle
DELETE FROM RelayThrottle WHERE Relay = ?1
