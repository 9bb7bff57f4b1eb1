"""Rules about adversarial training: a critic, and the generator that it judges."""

from __future__ import annotations

from collections.abc import Iterator

from artschool.config.streams import keys_of, streams
from artschool.config.structure import StepConfig
from artschool.faults import Fault
from artschool.lint.rule import rules_of
from artschool.lint.subject import StepLoss, Subject, fault, has_role, option, place_of
from artschool.registry import ComponentRole

MAX_RATE_RATIO = 100
MAX_MOMENTUM = 0.5
COUNTERPARTS = {
    "vanilla": ("vanilla", "saturating"),
    "lsgan": ("lsgan",),
    "hinge": ("hinge", "wgan"),
    "wgan": ("wgan", "hinge"),
    "ragan": ("ragan",),
}
"""The kinds of generator loss that fit each kind of critic loss. For a generator, hinge and wgan are the same."""


def unbalanced_rates(subject: Subject) -> Iterator[Fault]:
    """The learning rates of a critic and its generator differ by a factor of 100 or more.

    The network with the higher rate wins: its opponent hardly changes, and the critic's gradient vanishes or loses its
    meaning. Factors of two to five are usual.

    Source: Heusel et al. 2017, arXiv:1706.08500, which uses rates of the same order.
    """
    for generator, critic in _pairs(subject):
        rates = [_rate(step) for step in (generator.step, critic.step)]
        if generator.step is critic.step or None in rates:
            continue
        low, high = sorted(rate for rate in rates if rate is not None)
        if low > 0 and high >= MAX_RATE_RATIO * low:
            step, other = (generator.step, critic.step) if rates[0] == high else (critic.step, generator.step)
            yield _of_optimizer(
                step,
                "lr",
                f"is {high / low:.0f} times the learning rate of step {other.name}, which trains its opponent",
                f"steps.{other.name} has a learning rate of {low:g}.",
            )


def critic_momentum(subject: Subject) -> Iterator[Fault]:
    """The optimizer of a Wasserstein critic uses a large momentum.

    The critic's loss changes as the generator changes, and momentum makes the critic overshoot: with betas of 0.9,
    training becomes unstable. The papers use RMSprop, or Adam with betas [0, 0.9].

    Source: Arjovsky et al. 2017, arXiv:1701.07875; Gulrajani et al. 2017, arXiv:1704.00028, algorithm 1.
    """
    for loss in subject.critic_losses:
        betas = option(loss.step.optimizer, "betas") if loss.step.optimizer is not None else None
        momentum = betas[0] if isinstance(betas, list | tuple) and betas else 0.0
        if option(loss.component, "kind") == "wgan" and momentum > MAX_MOMENTUM:
            yield _of_optimizer(
                loss.step,
                "betas",
                f"has a beta1 of {momentum:g}, which is large for a Wasserstein critic",
                "Fix: write `betas: [0.0, 0.9]`.",
            )


def both_sides_in_one_step(subject: Subject) -> Iterator[Fault]:
    """A step trains a critic on the loss of its generator.

    A step minimizes the sum of its losses over everything that it trains. The critic learns to call fakes real, against
    its own loss. Train generator and critic in separate steps.

    Source: Goodfellow et al. 2014, arXiv:1406.2661, algorithm 1.
    """
    for loss in subject.generator_losses:
        for critic in subject.critics(loss):
            if critic in loss.step.section.trained and subject.is_trained(critic):
                yield fault(
                    loss.component,
                    "network",
                    f"teaches {critic!r} to call fakes real, because the step trains {critic!r} too",
                    "Train the critic in a separate step.",
                )


def mismatched_game(subject: Subject) -> Iterator[Fault]:
    """The kinds of the losses of a generator and its critic do not match.

    The critic's loss decides what its logits mean: a hinge critic pushes them beyond -1 and 1, a least-squares critic
    towards 0 and 1. The generator's loss has to aim at the same values.
    """
    for generator, critic in _pairs(subject):
        kind, other = option(generator.component, "kind"), option(critic.component, "kind")
        if kind is not None and kind not in COUNTERPARTS.get(str(other), (kind,)):
            yield fault(
                generator.component,
                "kind",
                f"is {kind}, but the kind of the critic's loss is {other}",
                f"See {critic.component.path} at {place_of(critic.component.node, 'kind')}.",
            )


def generator_before_critic(subject: Subject) -> Iterator[Fault]:
    """A generator trains against a critic that has not been trained yet.

    Until then the critic is random, and its gradient misleads the generator. Start the critic first: write `after` at
    the generator's loss.
    """
    for critic in {name: None for loss in subject.critic_losses for name in subject.critics(loss)}:
        network = subject.config.networks.get(critic)
        if network is None or getattr(network.entry, "weights", None) is not None:
            continue
        teachers = [loss for loss in subject.critic_losses if critic in subject.critics(loss)]
        starts = [(subject.trains_when(loss) & network.when).first() for loss in teachers]
        learns = [first for first in starts if first is not None]
        for loss in subject.generator_losses:
            first = subject.trains_when(loss).first() if critic in subject.critics(loss) else None
            if first is not None and learns and first < min(learns):
                yield fault(
                    loss.outer,
                    "after",
                    f"starts at iteration {first}, but {critic!r} is trained only from iteration {min(learns)} on",
                    f"Fix: write `after: {min(learns)}` or more.",
                )


def unbounded_critic(subject: Subject) -> Iterator[Fault]:
    """A Wasserstein critic has no penalty or norm that keeps it smooth.

    Its loss has no lower bound: it falls forever as the logits grow, and stops measuring a distance. Add
    `gradient_penalty`, or use a critic with spectral norm.

    Source: Gulrajani et al. 2017, arXiv:1704.00028, section 4; Miyato et al. 2018, arXiv:1802.05957.
    """
    penalties = [loss for loss in subject.losses if loss.has_role(ComponentRole.CRITIC_PENALTY)]
    penalized = {critic for loss in penalties for critic in subject.critics(loss)}
    for loss in subject.critic_losses:
        if option(loss.component, "kind") != "wgan":
            continue
        for critic in subject.critics(loss):
            network = subject.config.networks.get(critic)
            norm = option(network, "norm") if network is not None else None
            # A network without the option `norm` may bound itself in its code.
            if critic not in penalized and norm is not None and norm != "spectral":
                yield fault(
                    loss.component,
                    "kind",
                    f"has no lower bound, and no penalty or spectral norm keeps {critic!r} smooth",
                )


def swapped_real_and_fake(subject: Subject) -> Iterator[Fault]:
    """A critic gets data as fake samples, and the output of a network as real ones.

    It learns to prefer fakes, and the generator learns to make what looks least like the data.
    """
    data = set(keys_of(subject.config, streams(subject.config)))
    for loss in subject.critic_losses:
        uses = {name: [u.name for u in loss.outer.reads if u.parameter == name] for name in ("real", "fake")}
        real, fake = uses["real"][:1], uses["fake"][:1]
        made = {network for key in real for writer in subject.writers(key) for network in _called(writer)}
        if fake and fake[0] in data and any(subject.is_trained(network) for network in made):
            yield fault(
                loss.outer,
                "real",
                f"is {real[0]!r}, the output of a network, while `fake` is {fake[0]!r}, which is data",
            )


def _called(writer: object) -> list[str]:
    return [use.name for use in getattr(writer, "networks", [])]


def _pairs(subject: Subject) -> Iterator[tuple[StepLoss, StepLoss]]:
    """Each generator loss with the loss of the critic that it uses."""
    teachers = {critic: loss for loss in reversed(subject.critic_losses) for critic in subject.critics(loss)}
    for loss in subject.generator_losses:
        for critic in subject.critics(loss):
            if critic in teachers:
                yield loss, teachers[critic]


def _rate(step: StepConfig) -> float | None:
    """The learning rate of a step, if its optimizer is adaptive, so that the rate can be compared with others."""
    if step.optimizer is None or not has_role(step.optimizer, ComponentRole.ADAPTIVE):
        return None
    rate = option(step.optimizer, "lr")
    return float(rate) if isinstance(rate, int | float) else None


def _of_optimizer(step: StepConfig, parameter: str, message: str, hint: str) -> Fault:
    assert step.optimizer is not None
    return fault(step.optimizer, parameter, message, hint)


RULES = rules_of(
    unbalanced_rates,
    critic_momentum,
    both_sides_in_one_step,
    mismatched_game,
    generator_before_critic,
    unbounded_critic,
    swapped_real_and_fake,
)
