-- release_held: all that are held.
SELECT AlertId FROM AlertState WHERE FinalAt IS NULL AND Status = 'held'
