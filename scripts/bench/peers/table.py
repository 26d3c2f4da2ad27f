# SPDX-License-Identifier: MIT
"""Rows of both modes -> one Markdown table with the goals."""

COLUMNS = ("what", "n", "beside", "theirs", "ours", "as installed", "tuned", "goal", "of the limit", "goal", "memory", "goal", "apart",
           "reached", "remarks")


def duration(us):
    if us is None:
        return ""
    return f"{us / 1e6:.3g} s" if us >= 1e6 else f"{us / 1e3:.3g} ms" if us >= 1e3 else f"{us:.3g} us"


def size(count):
    return "" if count is None else f"{count / 2 ** 20:.3g} MiB"


def times(x):
    return "" if x is None else f"{x:.3g}x"


def percent(x):
    return "" if x is None else f"{100 * x:.0f} %"


def key(row):
    return row["row"], row["what"], row.get("n") if row["row"] != "crossover" else "", row.get("peer"), row.get("peer_name")


def failures(installed, tuned):
    """What a row misses; None where it has no goal."""
    some, missed, judged = tuned or installed, [], False
    for name, row, i in (("as installed", installed, 0), ("tuned", tuned, 1)):
        if row and row.get("goal") and row.get("ratio") is not None:
            judged = True
            if row["ratio"] < row["goal"][i]:
                missed.append(name)
    rows = [r for r in (installed, tuned) if r]
    for name, value, most in (("time", "times", "most_times"), ("bytes", "ours_bytes", "most_bytes"), ("tokens", "n", "most_n")):
        if some.get(most) is not None:
            judged = True
            if min((r[value] if r[value] is not None else float("inf")) for r in rows) > some[most]:
                missed.append(name)
    for name, value, least in (("limit", "share", "share_goal"), ("memory", "memory_ratio", "memory_goal")):
        if some.get(least) is not None and some.get(value) is not None:
            judged = True
            if max(r[value] for r in rows if r.get(value) is not None) < some[least]:
                missed.append(name)
    return missed if judged else None


def goal_text(r):
    if r.get("goal"):
        a, b = r["goal"]
        return times(a) if a == b else f"{times(a)} / {times(b)}"
    for most, text in (("most_times", lambda x: f"<= {times(x)}"), ("most_n", lambda x: f"<= {x}"),
                       ("most_bytes", lambda x: f"<= {size(x)}")):
        if r.get(most) is not None:
            return text(r[most])
    return ""


def ratio_text(r):
    if r is None:
        return ""
    return times(r["times"] if r.get("times") is not None else r.get("ratio"))


def cells(installed, tuned):
    r = tuned or installed
    missed = failures(installed, tuned)
    beside = r.get("peer") or r.get("peer_name") or ""
    memory = size(r.get("ours_bytes"))
    if r.get("memory_ratio") is not None:
        memory = f"{times(r['memory_ratio'])}: {size(r['peer_bytes'])} by {memory}"
    return [r["what"], "" if r.get("n") is None else f"{r['n']:,}", beside, duration(r.get("peer_us")), duration(r.get("ours_us")),
            ratio_text(installed), ratio_text(tuned), goal_text(r), f"{percent(r.get('share'))} {r.get('share_of') or ''}".strip(),
            percent(r.get("share_goal")), memory,
            f"{r['memory_goal']}x" if r.get("memory_goal") else "",
            "" if r.get("apart") is None else f"{r['apart']:.0e}",
            "" if missed is None else "yes" if not missed else "no: " + ", ".join(missed), r.get("note") or ""]


def markdown(by_mode):
    """by_mode: {"installed": rows, "tuned": rows}"""
    merged = {}
    for mode, rows in by_mode.items():
        for row in rows:
            if row["row"] != "crossover_point":
                merged.setdefault(key(row), {})[mode] = row
    lines = ["| " + " | ".join(COLUMNS) + " |", "|" + "---|" * len(COLUMNS)]
    reached = judged = 0
    for pair in merged.values():
        line = cells(pair.get("installed"), pair.get("tuned"))
        judged += line[13] != ""
        reached += line[13] == "yes"
        lines.append("| " + " | ".join(line) + " |")
    return "\n".join(lines) + f"\n\n{reached} of {judged} rows with a goal reach it."
