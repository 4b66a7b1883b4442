-- register: one relay of a send port.
INSERT INTO SendPortRelay (SendPort, Ordinal, Relay) VALUES (?1, ?2, ?3)
