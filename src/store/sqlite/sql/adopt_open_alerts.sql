-- adopt: what is not final, some at a time.
SELECT AlertId FROM AlertState WHERE FinalAt IS NULL LIMIT ?1
