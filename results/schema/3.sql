-- Version 3. How fast an optimizer was: steps of the baseline to its final loss over its own, below 1 where it stayed above it,
-- 0 where it diverged; the same beside the best of all tuned hand-designed ones of the run; whether
-- it diverged. In a row of means the number of seeds that did.
ALTER TABLE evaluation ADD COLUMN speedup REAL;
ALTER TABLE evaluation ADD COLUMN speedup_best REAL;
ALTER TABLE evaluation ADD COLUMN diverged INTEGER;
