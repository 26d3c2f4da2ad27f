# Shared by the experiments: sourced after these are set.
#   TASK, COMMON  the task and the settings that all models share
#   MODELS        lines "label | settings"; labels without commas
#   STEPS, SEEDS, RATES; EVERY: steps between evaluations
# Every model is trained at every rate from every seed, two processes at a time (JOBS). A model's rate is the one of least mean
# validation loss; what is shown is its test metric: mean over seeds with a 95 % interval (Student's t).
flt=${FLT:-flt}
export FLT_DB=${FLT_DB:-experiments.db} OMP_NUM_THREADS=1
command -v "$flt" >/dev/null || {
    echo "there is no program '$flt': build it, then give its path in FLT (FLT=build/release/cli/flt $0)" >&2
    exit 2
}

# One model at one rate: $1 is "number|settings|rate". What the program prints names the task as the store knows it.
train_one() {
    local number settings rate status=0
    IFS='|' read -r number settings rate <<<"$1"
    # shellcheck disable=SC2086
    "$flt" fit "$TASK" --set $COMMON $settings lr="$rate" --steps "$STEPS" --eval-every "$EVERY" --seeds "$SEEDS" --quiet --json \
        >"$scratch/$number.$rate.json" || status=$?
    case $status in
    0) ;;
    4) echo "$settings diverges at lr=$rate" >&2 ;;
    *) return 255 ;; # ends xargs
    esac
}

train_all() {
    local number=0 settings rate
    while IFS='|' read -r _ settings; do
        number=$((number + 1))
        for rate in $RATES; do echo "$number|$settings|$rate"; done
    done <<<"$MODELS" | xargs -P "${JOBS:-2}" -d '\n' -n 1 bash -c 'train_one "$1"' _
}

# Lines of values between commas as a table; a system need not have a program for that.
aligned() {
    awk -F, '{ for (i = 1; i <= NF; i++) { cell[NR, i] = $i; if (length($i) > width[i]) width[i] = length($i) } }
             END { for (r = 1; r <= NR; r++) { for (i = 1; i < NF; i++) printf("%-*s", width[i] + 2, cell[r, i]); print cell[r, NF] } }'
}

# A line of the table for $1, a label, and $2, a task as the store knows it.
row_of() {
    "$flt" results sql "
        WITH ranked AS (
          SELECT *, row_number() OVER (PARTITION BY lr, seed ORDER BY run_id DESC) AS age
          FROM evaluation WHERE task = '$2' AND steps = $STEPS),
        latest AS (SELECT * FROM ranked WHERE age = 1),
        rate AS (SELECT lr FROM latest GROUP BY lr ORDER BY sum(validation_loss IS NULL), avg(validation_loss) LIMIT 1),
        best AS (
          SELECT l.*, (SELECT s.last_value FROM series s JOIN metric_name n USING(metric_id)
                       WHERE s.run_id = l.run_id AND n.name = 'steps_per_s') AS speed,
                 (SELECT s.last_value FROM series s JOIN metric_name n USING(metric_id)
                  WHERE s.run_id = l.run_id AND n.name = 'peak_bytes') AS bytes,
                 (SELECT p.number FROM param p WHERE p.run_id = l.run_id AND p.name = 'parameters') AS parameters
          FROM latest l JOIN rate USING(lr)),
        t(n, quantile) AS (VALUES (2, 12.706), (3, 4.303), (4, 3.182), (5, 2.776), (6, 2.571), (7, 2.447), (8, 2.365)),
        sums AS (SELECT count(*) AS n, avg(test_metric) AS mean, avg(test_metric * test_metric) AS square FROM best)
        SELECT '$1' AS model, max(lr) AS lr, count(*) AS seeds, round(avg(test_metric), 4) AS test,
               (SELECT round(quantile * sqrt(max(square - mean * mean, 0) / (n - 1)), 4) FROM sums JOIN t USING(n)) AS plus_minus_95,
               round(avg(validation_metric), 4) AS validation, parameters, round(avg(speed), 1) AS steps_per_s,
               round(max(bytes) / 1048576, 1) AS peak_mib
        FROM best" --csv | tr -d '\r'
}

print_table() {
    local number=0 label spec
    while IFS='|' read -r label _; do
        number=$((number + 1))
        spec=$(sed -n 's/.*"task":[[:space:]]*"\([^"]*\)".*/\1/p' "$scratch/$number".*.json | head -n 1)
        row_of "$(sed 's/ *$//' <<<"$label")" "$spec" | sed "1{$([ $number -gt 1 ] && echo d)}"
    done <<<"$MODELS" | aligned
}

# "$1: NUMBER$3" for a baseline that the store has as the parameter $2.
print_baseline() {
    echo
    "$flt" results sql "SELECT '$1: ' || round(max(number), 4) || '$3' AS line FROM param WHERE name = '$2'" --csv |
        tail -n +2 | tr -d '"\r'
}

run_experiment() {
    scratch=$(mktemp -d)
    trap 'rm -rf "$scratch"' EXIT
    MODELS=$(sed '/^ *$/d' <<<"$MODELS")
    export -f train_one
    export flt TASK COMMON STEPS SEEDS EVERY scratch
    train_all
    print_table
}
