"""Progress bars in a notebook without widgets: a line that is written anew, and no stream."""

from __future__ import annotations

import importlib.util

import nbformat
import pytest
from nbclient import NotebookClient

CELL = """
import contextlib, time
from modelzoo_runner.values import bars
stack = contextlib.ExitStack()
tell = stack.enter_context(bars.where_seen(None))
tell("steps", 0, 3)
time.sleep(0.2)
tell("steps", 2, 3)
"""


@pytest.mark.skipif(
    importlib.util.find_spec("ipywidgets") is not None, reason="there are widgets here"
)
def test_a_bar_is_a_line_that_is_gone_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTEST_CURRENT_TEST")  # with it a kernel doesn't watch the descriptors
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(each) for each in (CELL, "stack.close()")]
    )
    client = NotebookClient(notebook)
    with client.setup_kernel():
        client.execute_cell(notebook.cells[0], 0)
        (shown,) = notebook.cells[0].outputs
        assert shown.output_type == "display_data"
        assert shown.data["text/plain"].startswith("steps:  67%") and "2/3" in str(shown.data)
        client.execute_cell(notebook.cells[1], 1)
    (shown,) = notebook.cells[0].outputs
    assert shown.data["text/plain"] == "" and notebook.cells[1].outputs == []
