-- adopt: what is not final, some at a time.
SELECT AlertId FROM AlertState WHERE FinalAt IS NULL AND (?2 OR Status <> 'held') LIMIT ?1
