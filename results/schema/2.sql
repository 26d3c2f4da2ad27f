-- Version 2. Evaluations come a line per seed, beside the line of their means; a run whose process is gone is interrupted, as one
-- that was asked to stop: `message` says which.
UPDATE run SET status = 'interrupted', message = coalesce(message, 'killed: its process was found gone') WHERE status = 'killed';

DROP VIEW run_summary;
CREATE VIEW run_summary AS -- One line per run; running without a heartbeat for ten minutes is interrupted (`flt` looks at the process).
SELECT r.run_id AS run, r.kind,
       CASE WHEN r.status = 'running' AND r.heartbeat_us < (strftime('%s', 'now') - 600) * 1000000 THEN 'interrupted'
            ELSE r.status END AS status,
       datetime(r.started_us / 1000000, 'unixepoch') AS started,
       round((coalesce(r.ended_us, r.heartbeat_us) - r.started_us) / 1e6, 3) AS seconds,
       substr(e.git_commit, 1, 10) || CASE e.git_dirty WHEN 1 THEN '+' ELSE '' END AS code, r.registry_hash, e.precision, e.isa,
       r.seed, r.threads, e.host,
       (SELECT group_concat(t.name, ' ') FROM tag t WHERE t.run_id = r.run_id) AS tags,
       r.progress, r.exit_code, r.message, r.command
FROM run r JOIN env e USING(env_id);

CREATE VIEW evaluation_by_seed AS -- Evaluations of single seeds; the means of runs that stored no seeds stand for these.
SELECT v.* FROM evaluation v
WHERE v.seed IS NOT NULL
   OR NOT EXISTS(SELECT 1 FROM evaluation o WHERE o.run_id = v.run_id AND o.seed IS NOT NULL AND o.task IS v.task
                 AND o.optimizer IS v.optimizer AND o.options IS v.options AND o.weights IS v.weights AND o.steps IS v.steps);

DROP VIEW leaderboard;
CREATE VIEW leaderboard AS -- Optimizers per task, best first: the latest value of each seed, pooled within equal code.
WITH latest AS (
  SELECT v.*, r.registry_hash, e.precision, row_number() OVER (
           PARTITION BY v.task, v.optimizer, v.options, v.weights, v.steps, v.lr, v.seed, r.registry_hash, e.precision
           ORDER BY v.run_id DESC, v.seq DESC) AS age,
         max(v.seed IS NOT NULL) OVER (
           PARTITION BY v.task, v.optimizer, v.options, v.weights, v.steps, v.lr, r.registry_hash, e.precision) AS seeded
  FROM evaluation_by_seed v JOIN run r USING(run_id) JOIN env e USING(env_id)),
ranked AS (
  SELECT *, row_number() OVER (w ORDER BY final_loss IS NULL, final_loss) AS place, count(*) OVER w AS total
  FROM latest WHERE age = 1 AND (seed IS NOT NULL) = seeded -- means of old runs give way to seeds
  WINDOW w AS (PARTITION BY task, optimizer, options, weights, steps, lr, registry_hash, precision))
SELECT task, optimizer, options, weights, steps, lr, sum(coalesce(seeds, 1)) AS seeds,
       CASE WHEN sum(final_loss IS NULL) <= max(total) / 4 -- inter-quartile mean; NULL where a diverged seed lies inside
            THEN avg(CASE WHEN place > total / 4 AND place <= total - total / 4 THEN final_loss END) END AS loss_iqm,
       avg(final_loss) AS loss_mean, min(final_loss) AS loss_best, max(final_loss) AS loss_worst,
       sum(final_loss IS NULL) AS not_finite, avg(test_loss) AS test_loss, avg(test_metric) AS test_metric,
       max(baseline) AS baseline, avg(steps_to_baseline) AS steps_to_baseline,
       sum(CASE WHEN steps_to_baseline IS NOT NULL THEN coalesce(seeds, 1) ELSE 0 END) AS reached,
       avg(loss_ratio) AS loss_ratio,
       avg(seconds) AS seconds, avg(ns_per_param) AS ns_per_param, precision, registry_hash, max(run_id) AS last_run
FROM ranked GROUP BY task, optimizer, options, weights, steps, lr, registry_hash, precision
ORDER BY task, steps, loss_iqm IS NULL, loss_iqm;
