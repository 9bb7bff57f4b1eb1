"""Components: the registries by kind, the annotations of signatures, and the context that a run gives them."""

from artschool.registry.registered import Registered as Registered
from artschool.registry.registry import REGISTRIES as REGISTRIES
from artschool.registry.registry import Registry as Registry
from artschool.registry.registry import callbacks as callbacks
from artschool.registry.registry import datasets as datasets
from artschool.registry.registry import injectors as injectors
from artschool.registry.registry import loggers as loggers
from artschool.registry.registry import losses as losses
from artschool.registry.registry import metrics as metrics
from artschool.registry.registry import networks as networks
from artschool.registry.registry import optimizers as optimizers
from artschool.registry.registry import other_kind as other_kind
from artschool.registry.registry import schedules as schedules
from artschool.registry.registry import synonym_of as synonym_of
from artschool.registry.roles import ComponentRole as ComponentRole
