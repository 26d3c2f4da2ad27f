-- Version 1. Runs inside one transaction; results/migrate.c sets user_version after it. Comments inside a statement stay in the
-- file: `sqlite3 flt.db .schema` and `flt results schema` show them.
-- Times: *_us are microseconds since 1970 UTC, t_ms milliseconds since the run started. A number that is not finite is NULL in
-- its column and named in `special`: 'nan', 'inf', '-inf' for a metric, {"final_loss":"nan"} for a row of several numbers.
PRAGMA application_id = 0x464c5452; -- 'FLTR'

CREATE TABLE env( -- One row per distinct machine, build and set of libraries.
  env_id INTEGER PRIMARY KEY,
  fingerprint TEXT NOT NULL UNIQUE, -- hash of all that follows
  version TEXT NOT NULL, git_commit TEXT NOT NULL, -- 'unknown' when not built from a git checkout
  git_dirty INTEGER NOT NULL CHECK(git_dirty IN (0, 1)),
  host TEXT NOT NULL, os TEXT NOT NULL, kernel TEXT NOT NULL, arch TEXT NOT NULL,
  cpu_model TEXT NOT NULL, cores INTEGER NOT NULL, ram_bytes INTEGER NOT NULL,
  compiler TEXT NOT NULL, compile_flags TEXT NOT NULL, build_type TEXT NOT NULL, libc TEXT NOT NULL, sqlite TEXT NOT NULL,
  blas TEXT NOT NULL, fftw TEXT NOT NULL, isa TEXT NOT NULL, precision TEXT NOT NULL
) STRICT;

CREATE TABLE run( -- One row per process that recorded something.
  run_id INTEGER PRIMARY KEY AUTOINCREMENT, -- never given twice
  uuid TEXT NOT NULL UNIQUE, -- the same run in another file
  env_id INTEGER NOT NULL REFERENCES env,
  parent_id INTEGER REFERENCES run ON DELETE SET NULL, -- the run that this one resumes
  kind TEXT NOT NULL, -- verify, train, eval, ..
  status TEXT NOT NULL -- killed: its process was found gone
    CHECK(status IN ('running', 'done', 'failed', 'interrupted', 'killed')),
  exit_code INTEGER, message TEXT,
  argv TEXT NOT NULL, command TEXT NOT NULL, folder TEXT NOT NULL, -- JSON array; the same, quoted for a shell; where it ran
  seed INTEGER NOT NULL, threads INTEGER NOT NULL, -- seeds from 2^63 on wrap to negative numbers
  registry_hash TEXT NOT NULL, -- 16 hexadecimal digits over every kind and default of the program
  pid INTEGER NOT NULL, pid_started INTEGER NOT NULL, boot_id TEXT NOT NULL, pid_space TEXT NOT NULL, -- to know a killed process
  started_us INTEGER NOT NULL, heartbeat_us INTEGER NOT NULL, ended_us INTEGER,
  progress REAL, progress_text TEXT,
  rows_lost INTEGER NOT NULL DEFAULT 0 -- records that a full disk or a locked file refused
) STRICT;
CREATE INDEX run_started ON run(started_us);
CREATE INDEX run_live ON run(status) WHERE status = 'running';

CREATE TABLE param( -- Parameters of a run as given, and as a number where they are one.
  run_id INTEGER NOT NULL REFERENCES run ON DELETE CASCADE, name TEXT NOT NULL, value TEXT NOT NULL, number REAL,
  PRIMARY KEY(run_id, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX param_name ON param(name, number);

CREATE TABLE metric_name( -- What a metric measures: its name and, for learning curves, of whom on what from which seed.
  metric_id INTEGER PRIMARY KEY, name TEXT NOT NULL, subject TEXT NOT NULL DEFAULT '', task TEXT NOT NULL DEFAULT '',
  seed INTEGER NOT NULL DEFAULT -1,
  UNIQUE(name, subject, task, seed)
) STRICT;

CREATE TABLE metric( -- Values by step; see the view metrics.
  run_id INTEGER NOT NULL REFERENCES run ON DELETE CASCADE, metric_id INTEGER NOT NULL REFERENCES metric_name,
  step INTEGER NOT NULL, value REAL, special TEXT CHECK(special IN ('nan', 'inf', '-inf')), t_ms INTEGER NOT NULL,
  CHECK((value IS NULL) = (special IS NOT NULL)),
  PRIMARY KEY(run_id, metric_id, step)
) STRICT, WITHOUT ROWID;

CREATE TABLE series( -- One row per metric of a run: the last value, the number of values, the least and most finite one.
  run_id INTEGER NOT NULL REFERENCES run ON DELETE CASCADE, metric_id INTEGER NOT NULL REFERENCES metric_name,
  points INTEGER NOT NULL, not_finite INTEGER NOT NULL, last_step INTEGER NOT NULL, last_value REAL,
  last_special TEXT CHECK(last_special IN ('nan', 'inf', '-inf')), least REAL, most REAL,
  PRIMARY KEY(run_id, metric_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE check_result( -- Cases of `flt verify`: ratio = |got - want| / (eps growth scale), verdict pass, marginal or fail.
  run_id INTEGER NOT NULL REFERENCES run ON DELETE CASCADE, seq INTEGER NOT NULL, t_ms INTEGER NOT NULL,
  mechanism TEXT, check_name TEXT, label TEXT, ratio REAL, verdict TEXT, value REAL, threshold REAL, encoding TEXT,
  n INTEGER, d INTEGER, m INTEGER, r INTEGER, causal INTEGER, seed INTEGER, seconds REAL, detail TEXT, special TEXT,
  PRIMARY KEY(run_id, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE ladder( -- A mechanism against exact attention: relative Frobenius errors, times, bytes of workspace.
  run_id INTEGER NOT NULL REFERENCES run ON DELETE CASCADE, seq INTEGER NOT NULL, t_ms INTEGER NOT NULL,
  mechanism TEXT, encoding TEXT, options TEXT, batch INTEGER, heads INTEGER, n INTEGER, d INTEGER, m INTEGER, r INTEGER,
  seed INTEGER, causal INTEGER, threads INTEGER, error_total REAL, error_mask REAL, error_kernel REAL, error_max REAL,
  denominator_min REAL, denominator_max REAL, negative INTEGER, seconds REAL, seconds_exact REAL, bytes INTEGER,
  bytes_exact INTEGER, detail TEXT, special TEXT,
  PRIMARY KEY(run_id, seq)
) STRICT, WITHOUT ROWID;
CREATE INDEX ladder_mechanism ON ladder(mechanism, n);

CREATE TABLE evaluation( -- An optimizer on a task from one seed, or the mean over `seeds`; tuned = 1: lr is the best of several.
  run_id INTEGER NOT NULL REFERENCES run ON DELETE CASCADE, seq INTEGER NOT NULL, t_ms INTEGER NOT NULL,
  optimizer TEXT, options TEXT, weights TEXT, task TEXT, suite TEXT, seed INTEGER, seeds INTEGER, steps INTEGER,
  lr REAL, tuned INTEGER,
  final_loss REAL, best_loss REAL, validation_loss REAL, validation_metric REAL, test_loss REAL, test_metric REAL,
  baseline TEXT, baseline_loss REAL, loss_ratio REAL, steps_to_baseline REAL, seconds_to_baseline REAL,
  seconds REAL, ns_per_param REAL, state_words REAL, clipped INTEGER, detail TEXT, special TEXT,
  PRIMARY KEY(run_id, seq)
) STRICT, WITHOUT ROWID;
CREATE INDEX evaluation_task ON evaluation(task, optimizer);

CREATE TABLE timing( -- Raw samples, never only means; warm = 1 marks the runs before the measurement.
  run_id INTEGER NOT NULL REFERENCES run ON DELETE CASCADE, seq INTEGER NOT NULL, t_ms INTEGER NOT NULL,
  subject TEXT, phase TEXT, label TEXT, options TEXT, n INTEGER, d INTEGER, m INTEGER, r INTEGER, threads INTEGER,
  rep INTEGER, warm INTEGER, seconds REAL, cpu_seconds REAL, flops REAL, bytes REAL, peak_rss INTEGER, detail TEXT, special TEXT,
  PRIMARY KEY(run_id, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE event( -- What happened during a run, in words.
  run_id INTEGER NOT NULL REFERENCES run ON DELETE CASCADE, seq INTEGER NOT NULL, t_ms INTEGER NOT NULL,
  level TEXT, message TEXT, special TEXT,
  PRIMARY KEY(run_id, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE artifact( -- Files that a run wrote or read, with size and checksum ('crc32:0a1b2c3d') at that time.
  run_id INTEGER NOT NULL REFERENCES run ON DELETE CASCADE, path TEXT NOT NULL, kind TEXT NOT NULL, bytes INTEGER NOT NULL,
  checksum TEXT NOT NULL, t_ms INTEGER NOT NULL,
  PRIMARY KEY(run_id, path)
) STRICT, WITHOUT ROWID;

CREATE TABLE tag( -- Words given to runs afterwards.
  run_id INTEGER NOT NULL REFERENCES run ON DELETE CASCADE, name TEXT NOT NULL, PRIMARY KEY(run_id, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE note( -- Sentences given to runs afterwards.
  run_id INTEGER NOT NULL REFERENCES run ON DELETE CASCADE, written_us INTEGER NOT NULL, text TEXT NOT NULL,
  PRIMARY KEY(run_id, written_us)
) STRICT, WITHOUT ROWID;

CREATE VIEW run_summary AS -- One line per run; killed: no heartbeat for ten minutes (`flt` looks at the process).
SELECT r.run_id AS run, r.kind,
       CASE WHEN r.status = 'running' AND r.heartbeat_us < (strftime('%s', 'now') - 600) * 1000000 THEN 'killed'
            ELSE r.status END AS status,
       datetime(r.started_us / 1000000, 'unixepoch') AS started,
       round((coalesce(r.ended_us, r.heartbeat_us) - r.started_us) / 1e6, 3) AS seconds,
       substr(e.git_commit, 1, 10) || CASE e.git_dirty WHEN 1 THEN '+' ELSE '' END AS code, r.registry_hash, e.precision, e.isa,
       r.seed, r.threads, e.host,
       (SELECT group_concat(t.name, ' ') FROM tag t WHERE t.run_id = r.run_id) AS tags,
       r.progress, r.exit_code, r.message, r.command
FROM run r JOIN env e USING(env_id);

CREATE VIEW metrics AS -- Metrics by step, with their names.
SELECT m.run_id AS run, n.name AS metric, n.subject, n.task, nullif(n.seed, -1) AS seed, m.step, m.value, m.special, m.t_ms
FROM metric m JOIN metric_name n USING(metric_id);

CREATE VIEW last_metric AS -- The value at the last step of each metric of each run, and the range of the finite ones.
SELECT x.run_id AS run, n.name AS metric, n.subject, n.task, nullif(n.seed, -1) AS seed, x.points, x.not_finite,
       x.last_step AS step, x.last_value AS value, x.last_special AS special, x.least, x.most
FROM series x JOIN metric_name n USING(metric_id);

CREATE VIEW check_summary AS -- Verdicts per run, mechanism and check.
SELECT run_id AS run, mechanism, check_name, count(*) AS cases, sum(verdict = 'pass') AS passed,
       sum(verdict = 'marginal') AS marginal, sum(verdict = 'fail') AS failed, max(ratio) AS worst_ratio
FROM check_result GROUP BY run_id, mechanism, check_name;

CREATE VIEW attention_summary AS -- Error, time, memory against exact attention; seeds pooled within equal code.
SELECT l.mechanism, l.encoding, l.options, l.causal, l.n, l.d, l.m, l.r, e.precision, r.registry_hash,
       count(DISTINCT l.seed) AS seeds, count(DISTINCT l.run_id) AS runs,
       avg(l.error_total) AS error_total, avg(l.error_mask) AS error_mask, avg(l.error_kernel) AS error_kernel,
       max(l.error_total) AS worst_error, min(l.seconds) AS seconds, min(l.seconds_exact) AS seconds_exact,
       min(l.seconds_exact) / min(l.seconds) AS speedup, max(l.bytes) AS bytes, max(l.bytes_exact) AS bytes_exact,
       sum(l.special IS NOT NULL) AS not_finite, max(l.run_id) AS last_run
FROM ladder l JOIN run r USING(run_id) JOIN env e USING(env_id)
GROUP BY l.mechanism, l.encoding, l.options, l.causal, l.n, l.d, l.m, l.r, e.precision, r.registry_hash;

CREATE VIEW leaderboard AS -- Optimizers per task, best first: the latest value of each seed, pooled within equal code.
WITH latest AS (
  SELECT v.*, r.registry_hash, e.precision, row_number() OVER (
           PARTITION BY v.task, v.optimizer, v.options, v.weights, v.steps, v.lr, v.seed, r.registry_hash, e.precision
           ORDER BY v.run_id DESC, v.seq DESC) AS age
  FROM evaluation v JOIN run r USING(run_id) JOIN env e USING(env_id)),
ranked AS (
  SELECT *, row_number() OVER (w ORDER BY final_loss IS NULL, final_loss) AS place, count(*) OVER w AS total
  FROM latest WHERE age = 1
  WINDOW w AS (PARTITION BY task, optimizer, options, weights, steps, lr, registry_hash, precision))
SELECT task, optimizer, options, weights, steps, lr, sum(coalesce(seeds, 1)) AS seeds,
       CASE WHEN sum(final_loss IS NULL) <= max(total) / 4 -- inter-quartile mean; NULL where a diverged seed lies inside
            THEN avg(CASE WHEN place > total / 4 AND place <= total - total / 4 THEN final_loss END) END AS loss_iqm,
       avg(final_loss) AS loss_mean, min(final_loss) AS loss_best, max(final_loss) AS loss_worst,
       sum(final_loss IS NULL) AS not_finite, avg(test_loss) AS test_loss, avg(test_metric) AS test_metric,
       max(baseline) AS baseline, avg(steps_to_baseline) AS steps_to_baseline, sum(steps_to_baseline IS NOT NULL) AS reached,
       avg(loss_ratio) AS loss_ratio,
       avg(seconds) AS seconds, avg(ns_per_param) AS ns_per_param, precision, registry_hash, max(run_id) AS last_run
FROM ranked GROUP BY task, optimizer, options, weights, steps, lr, registry_hash, precision
ORDER BY task, steps, loss_iqm IS NULL, loss_iqm;

CREATE VIEW timing_summary AS -- Least and median time of each subject and phase.
WITH q AS (SELECT *, row_number() OVER (w ORDER BY seconds) AS place, count(*) OVER w AS total FROM timing
           WHERE coalesce(warm, 0) = 0 AND seconds IS NOT NULL
           WINDOW w AS (PARTITION BY run_id, subject, phase, label, options, n, d, m, r, threads))
SELECT run_id AS run, subject, phase, label, options, n, d, m, r, threads, count(*) AS reps, min(seconds) AS least,
       avg(CASE WHEN place IN ((total + 1) / 2, (total + 2) / 2) THEN seconds END) AS median, max(seconds) AS most,
       max(flops) AS flops
FROM q GROUP BY run_id, subject, phase, label, options, n, d, m, r, threads;
