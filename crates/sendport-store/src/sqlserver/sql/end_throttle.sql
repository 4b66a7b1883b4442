-- SqlServerStore::end_throttle
-- @P1 relay.
DELETE FROM sendport.RelayThrottle WHERE Relay = @P1;
