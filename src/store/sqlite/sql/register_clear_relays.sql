-- register: the relays of a send port are written anew.
DELETE FROM SendPortRelay WHERE SendPort = ?1
