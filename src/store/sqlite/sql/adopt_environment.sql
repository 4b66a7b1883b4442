-- adopt: the last step, so that an adoption that broke off is begun again.
INSERT INTO Environment (EnvironmentId, Name, AdoptedAt) VALUES (1, ?1, ?2)
ON CONFLICT (EnvironmentId) DO UPDATE SET Name = excluded.Name, AdoptedAt = excluded.AdoptedAt
