#!/usr/bin/env bash
# flt verify: its options, what it prints, the summary of a tiny configuration, the fidelity table.
. "$FLT_SOURCE_DIR/cli/tests/lib.sh"
golden=$FLT_SOURCE_DIR/cli/tests/golden/verify_summary.txt
threads=(--threads 1)

# ---- values that are wrong are answered with a sentence that says what is allowed
expect 2 "allowed: quick, full" "$flt" verify --level fast
expect 2 "performer" "$flt" verify --mechanism perfomer
expect 2 "gaussian" "$flt" verify --encoding gausian
expect 2 "ladder" "$flt" verify --check lader
for option in n m r; do
    expect 2 "--$option" "$flt" verify --$option 0
    expect 2 "--$option" "$flt" verify --$option 12,
    expect 2 "--$option" "$flt" verify --$option many
done
expect 2 "--seeds" "$flt" verify --seeds 0
expect 2 "--seeds" "$flt" verify --seeds 1.5
expect 2 "no parameters" "$flt" verify --set m=3
expect 2 "--fidelity" "$flt" verify --scale 1
expect 2 "--scale" "$flt" verify --fidelity --scale 0
expect 2 "leave --check out" "$flt" verify --fidelity --check ladder
expect 2 "stand in for softmax" "$flt" verify --fidelity --mechanism exact
expect 2 "gaussian" "$flt" verify --fidelity --encoding gausian
expect 2 "nothing was checked" "$flt" verify --check ladder --mechanism linear

# ---- an encoding without a spectrum is left out with a record, others are measured
tiny=(--n 16 --m 8 --r 4 --seeds 2 "${threads[@]}")
expect 0 "flt *laplace" "$flt" verify --check ladder --mechanism flt --encoding laplace,alibi "${tiny[@]}"
! grep -q "^flt *alibi" out.txt || fail "an encoding without a spectrum has a row"
expect 0 "left out" "$flt" results sql "SELECT message FROM event"
expect 0 '"mechanisms": \[' "$flt" verify --check ladder --mechanism flt --json "${tiny[@]}"
expect 0 "^ *4$" "$flt" results sql "SELECT count(*) FROM ladder" # two seeds of laplace, two of the mixture

# ---- the summary of a tiny configuration, word for word; what is timed is #, what precision decides has two digits
# UPDATE=1 writes the expected text anew; look at the difference.
masked() {
    awk '/^[a-z]/ && !/ms and|:/ { header = ($1 == "mechanism" || $1 == "check") ? 1 : 0
            if (header) { split("", timed); split("", rough)
                for (i = 1; i <= NF; i++) {
                    if ($i ~ /^(us|exact_us|work_KiB|exact_KiB|time_exponent|N_star)$/) timed[i] = 1
                    if ($i ~ /^(error|worst_ratio|slope)/) rough[i] = 1 } } }
         { line = ""
           for (i = 1; i <= NF; i++) {
               cell = $i
               if (!header && (i in timed) && cell ~ /^[-0-9]/) cell = "#"
               if (!header && (i in rough) && cell ~ /^[-0-9]/) cell = sprintf("%.2g", cell)
               line = line (i > 1 ? " " : "") cell }
           print line; header = 0 }'
}
"$flt" verify --level full --check ladder,convergence --mechanism performer --n 16,32 --m 8 --r 4 --seeds 2 --quiet "${threads[@]}" |
    masked >summary.txt || fail "the tiny configuration failed"
[ -z "${UPDATE:-}" ] || cp summary.txt "$golden"
diff "$golden" summary.txt || fail "the summary is not as expected"

# ---- growth: exponents are stored as rows with their bounds
expect 0 "N_star" "$flt" verify --level full --check scaling --mechanism performer "${threads[@]}"
expect 0 "^ *0$" "$flt" results sql "SELECT count(*) FROM check_result WHERE ratio IS NOT NULL AND value IS NOT NULL" # one or other
expect 0 "workspace exponent" "$flt" results sql "SELECT label FROM check_result WHERE check_name = 'scaling' AND threshold < 2"

# ---- fidelity
table=("$flt" verify --fidelity --n 48 --m 8,16 --r 4 --seeds 1 --scale 0.5 "${threads[@]}")
expect 0 "beside the published recipe at m=16" "${table[@]}" --encoding gaussian
expect 0 "taylor" "${table[@]}" --encoding t5_buckets # no spectrum: without the published recipe
! grep -q "beside the published" out.txt || fail "flt ran on an encoding without a spectrum"
expect 0 '"versus_published"' "${table[@]}" --encoding gaussian --mechanism flt,taylor --json
expect 0 "draw=iid,sampling=mc,sd=0.5" "$flt" results sql "SELECT DISTINCT options FROM ladder WHERE detail = 'fidelity'"
expect 0 "| gaussian | 0.5 | .* | 1/" env FLT="$flt" DB=table.db N=96 "$FLT_SOURCE_DIR/scripts/experiments/fidelity.sh" gaussian 0.5
finish
