-- revoke_certificate, remove_certificate: the event.
INSERT INTO EventLog (LoggedAt, Severity, EventType, Message)
SELECT ?2, 'information', ?3, ?4 || ' the certificate ' || Thumbprint || ' of ' || Address || ' by sqlite'
FROM Certificate WHERE CertificateId = ?1
