"""`artschool` as a process of `torchrun` on a machine with a disk of its own: `rank<N>` in the working folder.

Also the plugin of the run that rolls back.
"""

from __future__ import annotations

import os

from artschool.cli import main
from artschool.registry import datasets, networks
from tests.engine.test_rollback import Exploding, ScaleOnly

datasets.register("exploding", Exploding)
networks.register("scale_only", ScaleOnly)

if __name__ == "__main__":
    os.chdir(f"rank{os.environ['RANK']}")
    os.environ["LOCAL_RANK"] = "0"
    main()
