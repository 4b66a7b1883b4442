-- inherit: a lease that still stands goes to another instance.
UPDATE AlertState SET LeaseOwner = ?1 WHERE AlertId = ?2 AND LeaseToken = ?3
