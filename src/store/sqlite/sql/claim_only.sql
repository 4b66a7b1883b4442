-- claim: one that was refused before, where it is still due.
SELECT AlertId FROM AlertState
WHERE AlertId = ?1 AND SendPort = ?2 AND DueAt <= ?3 AND (SELECT 1 FROM Instance WHERE InstanceId = ?4)
