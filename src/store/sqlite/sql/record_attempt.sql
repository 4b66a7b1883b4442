-- record: one mail transaction; the same key is never written twice.
INSERT INTO Attempt (AttemptKey, AlertId, AttemptNumber, Outcome, InstanceId, Relay, StartedAt, EndedAt, MessageId,
                     SizeBytes, Protection, RemoteAddress, ServerName, TlsVersion, TlsCipher, PeerFingerprint,
                     AuthMechanism, SignedBy, SignatureAlgorithm, EncryptedTo, EncryptionAlgorithm, HeaderProtection)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22)
ON CONFLICT (AttemptKey) DO NOTHING
