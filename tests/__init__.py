"""The tests. They use one thread of torch unless told otherwise: a process that is forked cannot use others."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
