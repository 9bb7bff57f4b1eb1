"""A folder that a command writes for the user: what a killed process leaves of it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from artschool.storage.new_folder import new_folder

WRITE = """
import sys
from pathlib import Path
from artschool.storage.new_folder import new_folder

with new_folder(Path(sys.argv[1])) as folder:
    (folder / "network").mkdir()
    (folder / "network" / "net.py").write_text("")
    print(folder, flush=True)
    sys.stdin.read()
"""


def test_a_killed_process_leaves_nothing_for_ever_and_a_living_one_is_left_alone(tmp_path: Path) -> None:
    """The second of two processes is killed, and `new_folder` is called for the same folder and another one."""
    output = tmp_path / "net"
    command = [sys.executable, "-c", WRITE, str(output)]
    processes = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    temporary = []
    for process in processes:
        assert process.stdout is not None
        temporary.append(Path(process.stdout.readline().strip()))
    processes[1].kill()
    processes[1].communicate()
    link = tmp_path / ".tmp-net-12345678"
    link.symlink_to(temporary[1])
    assert sorted(tmp_path.iterdir()) == sorted([*temporary, link])
    with new_folder(tmp_path / "other") as folder:
        assert sorted(tmp_path.iterdir()) == sorted([*temporary, link, folder])
    with new_folder(output) as folder:
        (folder / "file").touch()
        assert sorted(tmp_path.iterdir()) == sorted([temporary[0], link, folder, tmp_path / "other"])
    processes[0].communicate()
    assert sorted(path.name for path in tmp_path.iterdir()) == [link.name, "net", "other"]
    assert os.listdir(output) == ["file"]  # noqa: PTH208  # names
