-- end_authentication: other secrets of the relay that nobody has used for long.
DELETE FROM RelayAuthentication WHERE Relay = ?1 AND Secret <> ?2 AND StateAt < ?3
