"""The examples and the code of the documentation run."""

import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

REPOSITORY = Path(__file__).resolve().parents[3]
EXAMPLES = sorted(path.name for path in (REPOSITORY / "examples" / "python").glob("*.py"))
EXPECTED = {
    "load_dataframe.py": ["rows=2226", "rows=23889", "JFK"],
    "upsert.py": ["rows=20000, inserted=20000", "rows=20100"],
    "resume_after_kill.py": ["killed", 'state="finished", rows=300000'],
    "task.py": ["the worker is lost", "month 2: 0 rows written, 2010 by an earlier attempt", "4236 rows are stored"],
}


def test_each_example_is_checked():
    assert EXAMPLES == sorted(EXPECTED)


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_runs(place, tmp_path, example):
    tables = ["python_weather", "python_stock", "python_squares", "python_months"]
    for table in tables:
        place.execute(f"DROP TABLE IF EXISTS {table}")
    if place.name != "sqlite" and place.execute(f"SELECT 1 FROM information_schema.tables WHERE table_name = 'landfall_ledger'"):
        place.execute("DELETE FROM landfall_ledger WHERE job = 'squares' OR job LIKE 'weather of 2013-%'")
    command = [sys.executable, str(REPOSITORY / "examples" / "python" / example), place.url]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    for table in tables:
        place.execute(f"DROP TABLE IF EXISTS {table}")
    assert run.returncode == 0, run.stderr
    for text in EXPECTED[example]:
        assert text in run.stdout, run.stdout


def test_the_notebook_has_the_output_that_it_makes():
    path = REPOSITORY / "examples" / "python" / "notebook.ipynb"
    stored = nbformat.read(path, as_version=4)
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(path.parent)}}).execute()
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert len(cells) >= 5
    for cell, before in zip(cells, [cell for cell in stored.cells if cell.cell_type == "code"]):
        assert _shown(cell) == _shown(before), cell.source


def _shown(cell):
    """What the outputs of a cell show, by their streams, without the time that a write took."""
    shown = {}
    for output in cell.outputs:
        text = output.get("text") or output.get("data", {}).get("text/plain", "")
        stream = output.get("name", output.output_type)
        shown[stream] = shown.get(stream, "") + re.sub(r"seconds=[\d.]+", "seconds=…", text)
    return shown


def test_the_code_of_the_guide_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    page = (REPOSITORY / "docs" / "python.md").read_text()
    blocks = re.findall(r"^```python\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    assert len(blocks) >= 5
    namespace = {}
    for block in blocks:
        exec(compile(block, "docs/python.md", "exec"), namespace)
