-- name_environment: only where none stands yet.
INSERT INTO Environment (EnvironmentId, Name, AdoptedAt) VALUES (1, ?1, ?2)
ON CONFLICT (EnvironmentId) DO NOTHING
