-- Spool::forget
DELETE FROM Work WHERE AlertId = ?1 AND Token = ?2
