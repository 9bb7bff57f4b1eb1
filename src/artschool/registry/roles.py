"""What a component is for, declared when it is registered, so that lint rules need not know its name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum

from artschool.errors import ConfigError
from artschool.wording.names import allowed


class ComponentRole(StrEnum):
    """A property of a component that a lint rule asks for. A component has any number of them.

    Attributes:
        CRITIC_LOSS: Loss that trains a critic to distinguish real samples from fakes. If the loss is also a
            `GENERATOR_LOSS`, its option `role` (`critic` or `generator`) determines which of the two it is.
        GENERATOR_LOSS: Loss that trains a generator to mislead a critic.
        CRITIC_PENALTY: Loss that keeps a critic smooth by penalizing the gradient of its logits.
        SECOND_ORDER: Loss that differentiates gradients.
        DIFFERENTIATES: Loss or injector that differentiates losses at a parameter of a network that the step trains.
        TAKES_LOGITS: Loss that applies a sigmoid or softmax itself, so that its inputs, or the outputs of the critic
            that it calls, must be logits.
        MINIMIZED: Loss that is only ever minimized, so that a negative weight is a mistake.
        STARTS_RANDOM: Network whose parameters are random until a step trains it or `weights` are loaded.
        HAS_BATCH_NORM: Network that contains batch norm, whatever its options.
        NETWORK_CALL: Injector that writes the output of the network that it calls, unchanged.
        SQUASHING: Injector that applies a sigmoid or softmax.
        SAMPLER: Injector that draws samples from a generative network.
        SAMPLER_TRAINING: Injector that trains a network from which samplers draw.
        GAUSSIAN_DIFFUSION: Injector that noises or denoises by discrete timesteps.
        EDM: Injector that noises or denoises by continuous noise levels.
        FLOW_MATCHING: Injector that follows a velocity between noise and data.
        ADAPTIVE: Optimizer that divides each update by the size of the gradients, so that a weight moves by about `lr`.
        GRADIENT_DESCENT: Optimizer that moves each weight by `lr` times its gradient, or a momentum of it.
        COUPLED_DECAY: Optimizer that adds its weight decay to the gradient before it divides by the gradient's size.
        HIGHER_IS_BETTER: Metric that rises as results improve.
        LOWER_IS_BETTER: Metric that falls as results improve.
        COMPARES_DISTRIBUTIONS: Metric that compares a set of generated samples with a set of real ones.
    """

    CRITIC_LOSS = "critic_loss"
    GENERATOR_LOSS = "generator_loss"
    CRITIC_PENALTY = "critic_penalty"
    SECOND_ORDER = "second_order"
    DIFFERENTIATES = "differentiates"
    TAKES_LOGITS = "takes_logits"
    MINIMIZED = "minimized"
    STARTS_RANDOM = "starts_random"
    HAS_BATCH_NORM = "has_batch_norm"
    NETWORK_CALL = "network_call"
    SQUASHING = "squashing"
    SAMPLER = "sampler"
    SAMPLER_TRAINING = "sampler_training"
    GAUSSIAN_DIFFUSION = "gaussian_diffusion"
    EDM = "edm"
    FLOW_MATCHING = "flow_matching"
    ADAPTIVE = "adaptive"
    GRADIENT_DESCENT = "gradient_descent"
    COUPLED_DECAY = "coupled_decay"
    HIGHER_IS_BETTER = "higher_is_better"
    LOWER_IS_BETTER = "lower_is_better"
    COMPARES_DISTRIBUTIONS = "compares_distributions"


ROLES_BY_KIND: Mapping[str, frozenset[ComponentRole]] = {
    "losses": frozenset(
        {
            ComponentRole.CRITIC_LOSS,
            ComponentRole.GENERATOR_LOSS,
            ComponentRole.CRITIC_PENALTY,
            ComponentRole.SECOND_ORDER,
            ComponentRole.DIFFERENTIATES,
            ComponentRole.TAKES_LOGITS,
            ComponentRole.MINIMIZED,
        }
    ),
    "networks": frozenset({ComponentRole.STARTS_RANDOM, ComponentRole.HAS_BATCH_NORM}),
    "injectors": frozenset(
        {
            ComponentRole.NETWORK_CALL,
            ComponentRole.DIFFERENTIATES,
            ComponentRole.SQUASHING,
            ComponentRole.SAMPLER,
            ComponentRole.SAMPLER_TRAINING,
            ComponentRole.GAUSSIAN_DIFFUSION,
            ComponentRole.EDM,
            ComponentRole.FLOW_MATCHING,
        }
    ),
    "optimizers": frozenset(
        {ComponentRole.ADAPTIVE, ComponentRole.GRADIENT_DESCENT, ComponentRole.COUPLED_DECAY},
    ),
    "metrics": frozenset(
        {
            ComponentRole.HIGHER_IS_BETTER,
            ComponentRole.LOWER_IS_BETTER,
            ComponentRole.COMPARES_DISTRIBUTIONS,
        }
    ),
}
"""The roles that components of each kind may declare. A role belongs to one kind, except DIFFERENTIATES."""

DeclaredRoles = ComponentRole | Iterable[ComponentRole]
"""What `register(..., roles=...)` takes: one role or several."""


def checked_roles(kind: str, declared: DeclaredRoles) -> frozenset[ComponentRole]:
    """The roles that a component of a kind declares.

    Raises:
        ConfigError: One of them is not a role of this kind.
    """
    known = [role.value for role in ROLES_BY_KIND.get(kind, ())]
    roles = [declared] if isinstance(declared, str) else list(declared)
    for role in roles:
        if role not in known:
            raise ConfigError(f"{str(role)!r} is not a role of {kind}. {allowed('Available roles', str(role), known)}")
    return frozenset(map(ComponentRole, roles))
