"""Files written whole or not at all; devices and pipes are written to and never replaced."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from modelzoo_runner.values import atomic


def test_a_file_has_its_old_content_until_the_new_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    atomic.write_text(path, "old")
    with pytest.raises(ValueError, match="stop"), atomic.writing(path) as file:
        file.write(b"half")
        raise ValueError("stop")
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_a_pipe_is_written_to(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    found: list[str] = []
    reader = threading.Thread(target=lambda: found.append(path.read_text()))
    reader.start()
    atomic.write_text(path, "said")
    reader.join(10)
    assert found == ["said"] and stat.S_ISFIFO(path.stat().st_mode)


def test_a_device_is_written_to() -> None:
    atomic.write_text(Path("/dev/null"), "x")
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)
    with pytest.raises(OSError, match="No space left"):
        atomic.write_text(Path("/dev/full"), "x")
    assert stat.S_ISCHR(Path("/dev/full").stat().st_mode)


@pytest.mark.parametrize("into", ["file", "pipe"])
def test_standard_output_by_its_path_keeps_the_order_of_what_is_printed(
    into: str, tmp_path: Path
) -> None:
    code = (
        "from pathlib import Path; from modelzoo_runner.values import atomic\n"
        "print('before'); atomic.write_text(Path('/dev/stdout'), 'json\\n'); print('after')"
    )
    was = Path("/dev/stdout").readlink()
    if into == "pipe":
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
        said = done.stdout.decode()
    else:
        path = tmp_path / "out.txt"
        with path.open("wb") as file:
            subprocess.run([sys.executable, "-c", code], stdout=file, check=True)
        said = path.read_text()
    assert said.split() == ["before", "json", "after"]
    assert Path("/dev/stdout").readlink() == was
