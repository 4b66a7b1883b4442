-- record: the end was seen after all, so what still waits is due.
UPDATE AlertState SET DueAt = ?2, StatusReason = NULL WHERE AlertId = ?1
