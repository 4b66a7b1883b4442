-- adopt: whoever ran against the original does not run against this copy.
DELETE FROM Instance
