"""PyTorch's optimizers, under their names in lower case.

Three are left out because they do not fit every network: LBFGS recomputes the losses through a closure, Muon takes only
matrices, and SparseAdam takes only sparse gradients.
"""

import torch

from artschool.registry import ComponentRole, optimizers

optimizers.register("adadelta", torch.optim.Adadelta)
optimizers.register("adafactor", torch.optim.Adafactor)
optimizers.register("adagrad", torch.optim.Adagrad)
optimizers.register("adam", torch.optim.Adam, roles={ComponentRole.ADAPTIVE, ComponentRole.COUPLED_DECAY})
optimizers.register("adamax", torch.optim.Adamax, roles={ComponentRole.ADAPTIVE, ComponentRole.COUPLED_DECAY})
optimizers.register("adamw", torch.optim.AdamW, roles=ComponentRole.ADAPTIVE)
optimizers.register("asgd", torch.optim.ASGD)
optimizers.register("nadam", torch.optim.NAdam, roles={ComponentRole.ADAPTIVE, ComponentRole.COUPLED_DECAY})
optimizers.register("radam", torch.optim.RAdam, roles={ComponentRole.ADAPTIVE, ComponentRole.COUPLED_DECAY})
optimizers.register("rmsprop", torch.optim.RMSprop, roles=ComponentRole.ADAPTIVE)
optimizers.register("rprop", torch.optim.Rprop)
optimizers.register("sgd", torch.optim.SGD, roles=ComponentRole.GRADIENT_DESCENT)
