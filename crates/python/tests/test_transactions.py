"""`landfall.status` and `landfall.recover`."""

from datetime import timedelta

import pyarrow as pa
import pytest

import landfall


def test_status_lists_jobs(place):
    job = f"{place.table} job"
    landfall.write(pa.table({"id": [1, 2]}), place.url, place.table, mode="create", job=job)
    status = landfall.status(place.url)
    [known] = [known for known in status.jobs if known.name == job]
    assert (known.state, known.rows, known.checkpoint is not None) == ("finished", 2, True)
    assert place.table in known.table and known.decided_at
    assert known.rejected == 0
    assert place.name in status.log and job in repr(known) and "in doubt" in repr(status)


def test_the_log_can_be_a_folder(postgres, tmp_path):
    log = f"file://{tmp_path}/log"
    postgres.create("id BIGINT PRIMARY KEY")
    options = {"job": "j", "log": log, "commit": "two_phase"}
    landfall.write(pa.table({"id": [1]}), postgres.url, postgres.table, **options)
    assert [job.name for job in landfall.status(log).jobs] == ["j"]
    assert [job.name for job in landfall.status(postgres.url, log=log).jobs] == ["j"]
    with pytest.raises(landfall.ConfigError, match="no branches"):
        landfall.recover(log)


def test_recover_rolls_back_a_branch_that_nobody_decided(postgres):
    """The branch is one that a killed run of the job would have left after it prepared."""
    job = f"{postgres.table} job"
    postgres.create("id BIGINT PRIMARY KEY")
    landfall.write(pa.table({"id": [1]}), postgres.url, postgres.table, job=job, commit="two_phase")
    [(gtrid,)] = postgres.execute(
        f"SELECT gtrid FROM landfall_ledger WHERE job = '{job}' AND decision = 'commit' ORDER BY epoch DESC LIMIT 1"
    )
    prefix, number, epoch, run = gtrid.split("-")
    branch = f"{prefix}-{number}-{int(epoch, 16) + 1:x}-{run}-0"
    for statement in ["BEGIN", "INSERT INTO {t} VALUES (2)", f"PREPARE TRANSACTION '{branch}'"]:
        postgres.execute(statement)
    [found] = [found for found in landfall.status(postgres.url).in_doubt if found.name == branch]
    assert (found.job, found.fate, found.is_left) == (job, "to be rolled back", True)
    [found] = landfall.recover(postgres.url, job=job)
    assert (found.fate, found.is_left, found.error) == ("skipped: not decided yet", True, None)
    [found] = landfall.recover(postgres.url, job=job, older_than=0, dry_run=True)
    assert found.fate == "to be rolled back" and branch in repr(found) and found.age < 60
    [found] = landfall.recover(postgres.url, job=job, older_than=timedelta(0))
    assert (found.fate, found.is_left) == ("rolled back", False)
    assert landfall.recover(postgres.url, job=job, older_than=0) == []
    assert postgres.execute("SELECT id FROM {t}") == [(1,)]
    with pytest.raises(landfall.ConfigError, match="older_than"):
        landfall.recover(postgres.url, older_than=-1)


def test_no_password_is_in_a_status():
    with pytest.raises(landfall.Error) as caught:
        landfall.status("postgres://me:s3cret@localhost:1/x")
    assert "s3cret" not in str(caught.value)
