-- Spool::keep
INSERT INTO Work (AlertId, Token, Outcome) VALUES (?1, ?2, ?3)
ON CONFLICT (AlertId, Token) DO UPDATE SET Outcome = excluded.Outcome
