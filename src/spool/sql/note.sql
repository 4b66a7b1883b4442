-- Spool::note
INSERT INTO Work (AlertId, Token, Note) VALUES (?1, ?2, ?3)
ON CONFLICT (AlertId, Token) DO UPDATE SET Note = excluded.Note
