-- Version 4. What the tuning of optimizers tried, for people.
CREATE VIEW tuning AS -- The final loss, mean over seeds, at each rate and setting that was tried of an optimizer; best = 1: the one that was taken.
SELECT m.run_id AS run, n.task, n.subject AS optimizer, substr(n.name, 20) AS settings, -- beside the rate; '' for defaults
       CAST(iif(m.step % 2, '3e', '1e') || (m.step / 2 - 7) AS REAL) AS lr, m.value AS final_loss, m.special,
       m.value IS NOT NULL AND m.value = min(m.value) OVER (PARTITION BY m.run_id, n.task, n.subject) AS best
FROM metric m JOIN metric_name n USING(metric_id) WHERE n.name LIKE 'final_loss_by_rate%' AND n.subject <> '';
