-- claim: what the same claim took, where its answer was not seen.
SELECT AlertId FROM AlertState WHERE LeaseOwner = ?1 AND LeaseToken = ?2 ORDER BY AlertId
