"""The components that ship with the package. Nothing is scanned: what is not listed here does not exist."""

MODULES = (
    "injectors.add_noise",
    "injectors.alias",
    "injectors.concatenate",
    "injectors.forward",
    "injectors.grey",
    "injectors.interpolate",
    "injectors.normalize",
    "injectors.pad",
    "injectors.squeeze",
    "losses.cross_entropy",
    "losses.distillation",
    "losses.gan",
    "losses.mean",
    "losses.pixel",
    "metrics.image",
    "optimizers.lamb",
    "optimizers.lars",
    "optimizers.torch_optim",
    "schedules",
)
