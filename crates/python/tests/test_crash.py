"""A process that is killed, interrupted, or forks."""

import os
import signal
import time

import pytest
from program import Program

import landfall

WRITE = """
    landfall.write(stream(30, pause=0.02), sys.argv[1], sys.argv[2], job=sys.argv[3] or None)
    print("written", flush=True)
"""

RESUMING = """
    table = pa.Table.from_batches(batches(30))
    print("read", flush=True)
    result = landfall.write(table, sys.argv[1], sys.argv[2], job=sys.argv[3], checkpoint_rows=10_000, batch_rows=1000)
    print(result.rows, result.resumed, flush=True)
"""


def _settled(place, expected, seconds=20):
    """The number of rows, when the server has noticed that its client is gone."""
    until = time.monotonic() + seconds
    while place.count() != expected and time.monotonic() < until:
        time.sleep(0.1)
    return place.count()


def test_a_job_that_was_killed_in_mid_write_runs_again_and_nothing_is_lost_or_doubled(place):
    place.create("id BIGINT PRIMARY KEY, v VARCHAR(40)")
    job = f"{place.table} job"
    program = Program(WRITE, place.url, place.table, job)
    program.wait_for("15")
    program.send(signal.SIGKILL)
    program.end()
    assert _settled(place, 0) == 0
    program = Program(WRITE.replace("0.02", "0"), place.url, place.table, job)
    status, errors = program.end()
    assert status == 0, errors
    assert place.execute("SELECT count(*), sum(id) FROM {t}") == [(300_000, 300_000 * 299_999 // 2)]
    # Once more: it is finished.
    assert Program(WRITE.replace("0.02", "0"), place.url, place.table, job).end()[0] == 0
    assert place.count() == 300_000
    [known] = [known for known in landfall.status(place.url).jobs if known.name == job]
    assert (known.state, known.rows) == ("finished", 300_000)


def test_a_job_with_checkpoints_resumes_behind_the_last_one(place):
    place.create("id BIGINT PRIMARY KEY, v VARCHAR(40)")
    job = f"{place.table} job"
    program = Program(RESUMING, place.url, place.table, job)
    program.wait_for("read")
    until = time.monotonic() + 60
    while place.count() < 20_000 and time.monotonic() < until:
        time.sleep(0.01)
    program.send(signal.SIGKILL)
    program.end()
    before = place.count()
    assert 20_000 <= before < 300_000 and before % 10_000 == 0
    program = Program(RESUMING, place.url, place.table, job)
    status, errors = program.end()
    assert status == 0, errors
    assert place.execute("SELECT count(*), sum(id) FROM {t}") == [(300_000, 300_000 * 299_999 // 2)]


CAUGHT = """
    try:
        landfall.write({data}, sys.argv[1], sys.argv[2])
    except KeyboardInterrupt as interrupt:
        print("interrupted", getattr(interrupt, "__notes__", []), flush=True)
        raise SystemExit(7)
"""


def test_ctrl_c_rolls_back_and_raises_keyboard_interrupt(place):
    place.create("id BIGINT PRIMARY KEY, v VARCHAR(40)")
    program = Program(CAUGHT.format(data="stream(10_000, pause=0.01)"), place.url, place.table)
    program.wait_for("30")
    began = time.monotonic()
    program.send(signal.SIGINT)
    status, errors = program.end()
    assert status == 7, errors
    assert time.monotonic() - began < 5
    assert place.count() == 0


def test_ctrl_c_does_not_wait_for_a_stream_that_is_silent(postgres):
    postgres.create("id BIGINT PRIMARY KEY, v TEXT")
    program = Program(CAUGHT.format(data="stream(10, pause=1000)"), postgres.url, postgres.table)
    program.wait_for("0")
    time.sleep(0.3)
    began = time.monotonic()
    program.send(signal.SIGINT)
    assert program.end(30)[0] == 7
    assert time.monotonic() - began < 5
    assert postgres.count() == 0


def test_ctrl_c_while_it_waits_for_a_lock(postgres):
    postgres.create("id BIGINT PRIMARY KEY, v TEXT")
    postgres.execute("BEGIN")
    postgres.execute("LOCK TABLE {t} IN ACCESS EXCLUSIVE MODE")
    text = CAUGHT.format(data="stream(1)").replace("sys.argv[2])", "sys.argv[2], lock_timeout='60s')")
    program = Program(text, postgres.url, postgres.table)
    time.sleep(2)
    began = time.monotonic()
    program.send(signal.SIGINT)
    assert program.end(30)[0] == 7
    assert time.monotonic() - began < 5
    postgres.execute("ROLLBACK")
    assert postgres.count() == 0


def test_ctrl_c_ends_a_query_that_is_read():
    text = """
        session = landfall.connect()
        result = session.sql("SELECT count(*) FROM generate_series(1, 1000000000000) AS a(v) WHERE v % 7 = 8")
        print("reading", flush=True)
        try:
            result.to_arrow()
        except KeyboardInterrupt:
            raise SystemExit(7)
    """
    program = Program(text)
    program.wait_for("reading")
    time.sleep(1)
    program.send(signal.SIGINT)
    assert program.end(30)[0] == 7


def test_an_exception_of_another_signal_handler_rolls_back(postgres):
    postgres.create("id BIGINT PRIMARY KEY, v TEXT")
    text = """
        import signal

        def stop(number, frame):
            raise SystemExit(9)

        signal.signal(signal.SIGTERM, stop)
        landfall.write(stream(10_000, pause=0.01), sys.argv[1], sys.argv[2])
    """
    program = Program(text, postgres.url, postgres.table)
    program.wait_for("20")
    program.send(signal.SIGTERM)
    assert program.end(30)[0] == 9
    assert postgres.count() == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_forked_child_writes_with_connections_of_its_own(place):
    place.create("id BIGINT PRIMARY KEY, v VARCHAR(40)")
    text = """
        import os

        session = landfall.connect()
        session.attach(sys.argv[1], "db")
        result = session.sql(f"SELECT count(*) AS n FROM {sys.argv[3]}")
        landfall.write(stream(1), sys.argv[1], sys.argv[2])
        assert result.to_arrow().to_pylist() == [{"n": 10_000}]
        child = os.fork()
        if child == 0:
            for use in [lambda: session.sql("SELECT 1"), lambda: result.to_arrow(), lambda: repr(result)]:
                try:
                    use()
                except landfall.ConfigError as error:
                    assert "forked" in str(error), error
                else:
                    os._exit(3)
            one = pa.table({"id": [-1], "v": ["of the child"]})
            landfall.write(one, sys.argv[1], sys.argv[2])
            assert landfall.connect().sql("SELECT 1").to_arrow().num_rows == 1
            # The parent's session is dropped here, and stays whole there.
            sys.exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert result.to_arrow().to_pylist() == [{"n": 10_001}]
    """
    status, errors = Program(text, place.url, place.table, place.in_session).end()
    assert status == 0, errors
    assert place.count() == 10_001


def test_a_program_ends_while_a_stream_is_silent():
    """The thread that reads it does not keep the interpreter."""
    text = """
        import tempfile, threading

        folder = tempfile.mkdtemp()
        write = lambda: landfall.write(stream(10, pause=1000), f"sqlite:{folder}/t.db", "t", mode="create")
        threading.Thread(target=write, daemon=True).start()
        while threading.active_count() < 2:
            time.sleep(0.01)
        time.sleep(1)
    """
    assert Program(text).end(30)[0] == 0
