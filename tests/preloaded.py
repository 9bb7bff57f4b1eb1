"""What `tests.fresh` imports once: all that a training imports, so that its processes are as fast as forked ones."""

import tensorboardX.proto.event_pb2
import tensorboardX.summary
import torch._dynamo

from artschool.components.builtins import load_builtins
from tests.engine import toy_run

load_builtins()
__all__ = ["tensorboardX", "torch", "toy_run"]
