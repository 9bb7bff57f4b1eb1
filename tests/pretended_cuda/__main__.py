"""Compiles what torch takes for a device, and runs the tests with it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import torch

FOLDER = Path(torch.__file__).parent
INCLUDE = (f"-I{FOLDER / 'include'}", f"-I{FOLDER / 'include/torch/csrc/api/include'}")
LIBRARIES = (f"-L{FOLDER / 'lib'}", f"-Wl,-rpath,{FOLDER / 'lib'}", "-lc10", "-ltorch_cpu")


def main() -> int:
    """The exit code of the tests."""
    compiler = shutil.which("g++")
    if compiler is None:
        sys.exit("needs a C++ compiler: apt-get install g++")
    with tempfile.TemporaryDirectory() as folder:
        device = Path(folder, "device.so")
        source = Path(__file__).with_name("device.cpp")
        subprocess.run(
            [compiler, "-std=c++20", "-shared", "-fPIC", *INCLUDE, source, "-o", device, *LIBRARIES], check=True
        )
        tests = [sys.executable, "-m", "pytest", "-p", "tests.pretended_cuda.plugin", "-m", "gpu", "tests/gpu"]
        variables = os.environ | {"LD_PRELOAD": str(device), "OMP_NUM_THREADS": "1"}
        return subprocess.run([*tests, *sys.argv[1:]], env=variables, check=False).returncode


sys.exit(main())
