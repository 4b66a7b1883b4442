-- inherit: the alert, where the lease still stands.
SELECT AlertId FROM AlertState WHERE AlertId = ?1 AND LeaseToken = ?2
