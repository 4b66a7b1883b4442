-- retire: what it still holds.
SELECT AlertId FROM AlertState WHERE LeaseOwner = ?1
