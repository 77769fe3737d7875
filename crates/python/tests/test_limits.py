"""Memory, connections and threads."""

import gc
import os
import threading
import time
from pathlib import Path

import pyarrow as pa
from program import Program

import landfall


def _resident() -> int:
    """Resident memory in bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _threads() -> int:
    return len(list(Path("/proc/self/task").iterdir()))


def _files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_200_writes_leave_no_connection_thread_file_or_memory(place, capsys):
    place.create("id BIGINT PRIMARY KEY, v VARCHAR(40)")
    data = pa.table({"id": range(1000), "v": ["x" * 30] * 1000})
    write = lambda: landfall.write(data, place.url, place.table, mode="overwrite")
    for _ in range(20):
        write()
    connections = _quiet(place, 1)
    gc.collect()
    before = (_resident(), _threads(), _files())
    for _ in range(200):
        write()
    gc.collect()
    after_connections = _quiet(place, connections)
    after = (_resident(), _threads(), _files())
    with capsys.disabled():
        grown = (after[0] - before[0]) / 2**20
        print(f"\n{place.name}: 200 writes: {grown:+.1f} MiB resident, {after[1] - before[1]:+d} threads, ", end="")
        print(f"{after[2] - before[2]:+d} files, {after_connections - connections:+d} connections")
    assert after_connections <= connections
    assert after[2] <= before[2] + 2
    # Idle threads of the pool for blocking calls end after ten seconds.
    assert after[1] <= before[1] + 4
    assert after[0] - before[0] < 24 * 2**20
    assert threading.active_count() < 10


def _quiet(place, expected: int) -> int:
    """The number of connections, when it is as low as expected, or does not fall any more."""
    lowest = place.connections()
    for _ in range(20):
        if lowest <= expected:
            break
        time.sleep(0.1)
        lowest = min(lowest, place.connections())
    return lowest


# In a process of its own: memory that other tests have freed would be taken first.
STREAM = """
    import os
    from pathlib import Path

    def resident(field):
        [line] = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(field)]
        return int(line.split()[1]) * 1024

    ROWS = 100_000
    texts = pa.array([f"value {number}".ljust(200, ".") for number in range(ROWS)])
    numbers = pa.array(range(ROWS), pa.int64())

    def batches(count):
        import pyarrow.compute as pc
        for number in range(count):
            yield pa.record_batch({"id": pc.add(numbers, number * ROWS), "v": texts}, schema)

    def write(count):
        stream = pa.RecordBatchReader.from_batches(schema, batches(count))
        return landfall.write(stream, sys.argv[1], sys.argv[2], mode="overwrite").rows

    # Everything is loaded, connected and compiled once; the batches are part of the start.
    write(2)
    before = resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")
    began = time.monotonic()
    rows = write(int(sys.argv[3]) // ROWS)
    seconds = time.monotonic() - began
    print(rows, (resident("VmHWM") - before) // 1024, f"{seconds:.1f}", flush=True)
"""


def test_a_stream_of_200_megabytes_is_never_held(place, capsys):
    expected = int(os.environ.get("LANDFALL_TEST_STREAM_ROWS", "1000000"))
    key = "" if place.name == "mysql" else " PRIMARY KEY"
    place.create(f"id BIGINT{key}, v VARCHAR(200)")
    program = Program(STREAM, place.url, place.table, str(expected))
    output, errors = program.process.communicate(timeout=3000)
    assert program.process.returncode == 0, errors
    rows, kilobytes, seconds = output.split()
    with capsys.disabled():
        print(f"\n{place.name}: {int(rows):,} rows of a generator: {int(kilobytes) / 1024:+.1f} MiB at most, {seconds} s")
    assert int(rows) == expected
    assert place.count() == expected
    assert int(kilobytes) <= 64 * 1024
