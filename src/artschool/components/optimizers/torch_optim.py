"""PyTorch's own optimizers, under their names in lower case.

Three are left out, because they cannot train any network: LBFGS computes the losses again and again through a
closure, Muon takes matrices alone, SparseAdam takes sparse gradients alone.
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
