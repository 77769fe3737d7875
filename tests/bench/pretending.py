"""A program and servers that only pretend: the tests need neither cargo nor a database."""

# Obeys the contract of the benches' program. In gate mode its times have what a shared machine does to them: noise,
# a drift from one process to the next, and now and then twice the time. Each process draws other numbers, the same ones
# in each run of the tests. LANDFALL_BENCH_GATE is what it has to know to be compared.
PROGRAM = """\
#!{python} -IS
import os, random, sys, time

HERE = {folder!r}
NOISE = {{"encode/events": 0.05, "upsert/changed": 0.08, "latency/one row": 0.08, "scan/all": 0.06, **{extra!r}}}
RESULTS = {{
    "encode": ['{{"name": "encode/events", "unit": "rows/s", "better": "higher", "value": 8e7,'
               ' "low": 7.5e7, "high": 8.2e7, "beside": {{"name": "pgpq <0.12>", "value": 2.7e7}},'
               ' "ratio": [2.9, 2.96, 3.1], "bar": {{"text": "ratio >= 1.5", "met": true}}}}'],
    "latency": ['{{"name": "latency/one row", "unit": "s", "better": "lower", "value": 0.0021,'
                ' "p50": 0.0021, "p95": 0.0043, "p99": 0.0125, "bar": {{"text": "P99 < 10 ms", "met": false}}}}'],
    "concurrency": ['{{"name": "concurrency/insert/%d writers", "unit": "rows/s", "better": "higher", "value": %d}}'
                    % (n, n * 900000) for n in (2, 4, 8)],
    "slow": [],
}}

def append(line):
    with open(os.environ["LANDFALL_BENCH_RESULTS"], "a") as file:
        file.write(line + "\\n")

def gate(wanted):
    with open(HERE + "/count", "a+") as file:
        file.write(".")
        count = file.tell()
    with open(HERE + "/asked", "a") as file:
        file.write(wanted + "\\n")
    if os.path.exists(HERE + "/stop after %d" % count):
        open(HERE + "/sleeping", "w").close()
        time.sleep(60)
    names = list(NOISE) if wanted == "all" else wanted.split(",")
    slower, _, factor = os.environ.get("LANDFALL_BENCH_SLOWER", "=").partition("=")
    drift = random.Random(count // 3).lognormvariate(0, 0.06)
    rng = random.Random(count * 7919 + {seed})
    for name in names:
        scale = 0.01 * drift * (float(factor) if name == slower else 1)
        seconds = [
            scale * rng.lognormvariate(0, NOISE[name]) * (2 if rng.random() < 0.06 else 1) for _ in range(5)
        ]
        kind = "latency" if name.startswith("latency/") else "throughput"
        append('{{"gate": "%s", "kind": "%s", "seconds": %s}}' % (name, kind, seconds))

if "--list" in sys.argv:
    print("encode/events/landfall: benchmark\\nlatency/one row: benchmark\\nconcurrency/insert/2 writers: benchmark")
    print("slow/one: benchmark\\nbroken/one: benchmark")
elif "LANDFALL_BENCH_GATE" in os.environ:
    gate(os.environ["LANDFALL_BENCH_GATE"])
else:
    group = sys.argv[-1].strip("^/")
    print("measuring", group, "quick" if "LANDFALL_BENCH_QUICK" in os.environ else "full", flush=True)
    print("Benchmarking", group, file=sys.stderr)
    if group == "broken":
        sys.exit("panicked at a bad moment")
    for line in RESULTS[group]:
        append(line)
    if group == "slow":
        append('{{"name": "slow/cut o')
        open(HERE + "/sleeping", "w").close()
        time.sleep(60)
"""

# Notes what it is told to do.
SERVER = """\
#!/usr/bin/env bash
echo "$1" >>"$(dirname "$0")/${0##*/}.log"
[ ! -e "$(dirname "$0")/${0##*/}.$1.fails" ] || { echo "${0##*/}: the port is taken" >&2; exit 1; }
[ "$1" != start ] || echo 1 >"$2/port"
"""
