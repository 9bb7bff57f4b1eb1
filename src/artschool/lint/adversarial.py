"""Games: a critic and what it judges."""

from __future__ import annotations

from collections.abc import Iterator

from artschool.config.flow import declared_keys
from artschool.config.structure import StepConfig
from artschool.errors import Fault
from artschool.lint.rule import rules_of
from artschool.lint.subject import Subject, Term, fault, has_role, option, place_of
from artschool.registry import ComponentRole

MOST_RATIO = 100
MOST_MOMENTUM = 0.5
COUNTERPARTS = {
    "vanilla": ("vanilla", "saturating"),
    "lsgan": ("lsgan",),
    "hinge": ("hinge", "wgan"),
    "wgan": ("wgan", "hinge"),
    "ragan": ("ragan",),
}
"""What a generator may minimise against a critic of each kind; hinge and wgan are the same for it."""


def unbalanced_rates(subject: Subject) -> Iterator[Fault]:
    """A critic and its generator learn at rates that differ 100-fold or more.

    The faster one sees the other stand still, and wins: the critic's gradient vanishes, or says nothing. Rates that
    differ two to five times are usual.

    Source: Heusel et al. 2017, arXiv:1706.08500, whose two rates are of one order.
    """
    for generator, critic in _pairs(subject):
        rates = [_rate(step) for step in (generator.step, critic.step)]
        if generator.step is critic.step or None in rates:
            continue
        low, high = sorted(rate for rate in rates if rate is not None)
        if low > 0 and high >= MOST_RATIO * low:
            step, other = (generator.step, critic.step) if rates[0] == high else (critic.step, generator.step)
            yield _of_optimizer(
                step,
                "lr",
                f"is {high / low:.0f} times the rate of {other.name}, against which it plays",
                f"steps.{other.name} learns at {low:g}.",
            )


def critic_momentum(subject: Subject) -> Iterator[Fault]:
    """The optimizer of a Wasserstein critic has much momentum.

    The critic's loss moves with the generator, and momentum carries it past: with betas of 0.9 such trainings become
    unstable. The papers take RMSprop, or Adam with betas [0, 0.9].

    Source: Arjovsky et al. 2017, arXiv:1701.07875; Gulrajani et al. 2017, arXiv:1704.00028, algorithm 1.
    """
    for term in subject.critic_terms:
        betas = option(term.step.optimizer, "betas") if term.step.optimizer is not None else None
        momentum = betas[0] if isinstance(betas, list | tuple) and betas else 0.0
        if option(term.loss, "kind") == "wgan" and momentum > MOST_MOMENTUM:
            yield _of_optimizer(
                term.step, "betas", f"beta1 is {momentum:g} for a Wasserstein critic", "Write `betas: [0.0, 0.9]`."
            )


def both_sides_in_one_step(subject: Subject) -> Iterator[Fault]:
    """A step trains a critic on the loss of its generator.

    A step's losses are one sum, which all that it trains descends: the critic learns to call fakes real,
    against its own loss. Give generator and critic a step each.

    Source: Goodfellow et al. 2014, arXiv:1406.2661, algorithm 1.
    """
    for term in subject.generator_terms:
        for critic in subject.critics(term):
            if critic in term.step.section.trained and subject.is_trained(critic):
                yield fault(
                    term.loss,
                    "network",
                    f"trains {critic!r} to take fakes for real, since the step trains it too",
                    "Give the critic a step of its own.",
                )


def mismatched_game(subject: Subject) -> Iterator[Fault]:
    """Generator and critic play by the formulas of different games.

    What the critic's logits mean follows from its own loss: a hinge critic stays within -1..1 where it is content,
    and a least-squares one aims at 0 and 1. The generator has to aim at the same.
    """
    for generator, critic in _pairs(subject):
        kind, other = option(generator.loss, "kind"), option(critic.loss, "kind")
        if kind is not None and kind not in COUNTERPARTS.get(str(other), (kind,)):
            yield fault(
                generator.loss,
                "kind",
                f"is {kind}, but the critic learns by {other}",
                f"{critic.loss.path} stands at {place_of(critic.loss.node, 'kind')}.",
            )


def generator_before_critic(subject: Subject) -> Iterator[Fault]:
    """A generator listens to its critic before that has learnt anything.

    Until then the critic is random, and its gradient leads away from what the generator knows. Start the critic first,
    by `after` of the generator's loss.
    """
    for critic in {name: None for term in subject.critic_terms for name in subject.critics(term)}:
        network = subject.config.networks.get(critic)
        if network is None or getattr(network.entry, "weights", None) is not None:
            continue
        teachers = [term for term in subject.critic_terms if critic in subject.critics(term)]
        starts = [(subject.trains_when(term) & network.when).first() for term in teachers]
        learns = [first for first in starts if first is not None]
        for term in subject.generator_terms:
            first = subject.trains_when(term).first() if critic in subject.critics(term) else None
            if first is not None and learns and first < min(learns):
                yield fault(
                    term.holder,
                    "after",
                    f"counts from iteration {first}, but {critic!r} learns only from {min(learns)}",
                    f"Write `after: {min(learns)}` or later.",
                )


def unbounded_critic(subject: Subject) -> Iterator[Fault]:
    """Nothing keeps a Wasserstein critic smooth.

    Its loss has no lower bound: it falls for ever while the logits grow, and stops meaning a distance. Add
    `gradient_penalty`, or take a critic with spectral norm.

    Source: Gulrajani et al. 2017, arXiv:1704.00028, section 4; Miyato et al. 2018, arXiv:1802.05957.
    """
    penalties = [term for term in subject.terms if term.has_role(ComponentRole.CRITIC_PENALTY)]
    penalized = {critic for term in penalties for critic in subject.critics(term)}
    for term in subject.critic_terms:
        if option(term.loss, "kind") != "wgan":
            continue
        for critic in subject.critics(term):
            network = subject.config.networks.get(critic)
            norm = option(network, "norm") if network is not None else None
            # Without a `norm` its code may do anything.
            if critic not in penalized and norm is not None and norm != "spectral":
                yield fault(term.loss, "kind", f"has no lower bound, and nothing keeps {critic!r} smooth")


def swapped_real_and_fake(subject: Subject) -> Iterator[Fault]:
    """A critic is given data as fakes, and what a network made as real.

    It then learns to prefer fakes, and the generator to make what looks least like data.
    """
    data = set(declared_keys(subject.config.data.get("train")) or ())
    for term in subject.critic_terms:
        uses = {name: [u.name for u in term.holder.reads if u.parameter == name] for name in ("real", "fake")}
        real, fake = uses["real"][:1], uses["fake"][:1]
        made = {network for key in real for writer in subject.writers(key) for network in _called(writer)}
        if fake and fake[0] in data and any(subject.is_trained(network) for network in made):
            yield fault(term.holder, "real", f"is {real[0]!r}, which a network makes, while fake {fake[0]!r} is data")


def _called(writer: object) -> list[str]:
    return [use.name for use in getattr(writer, "networks", [])]


def _pairs(subject: Subject) -> Iterator[tuple[Term, Term]]:
    """The generator's losses, each with that of the critic it calls."""
    teachers = {critic: term for term in reversed(subject.critic_terms) for critic in subject.critics(term)}
    for term in subject.generator_terms:
        for critic in subject.critics(term):
            if critic in teachers:
                yield term, teachers[critic]


def _rate(step: StepConfig) -> float | None:
    """The rate, of optimizers whose rates can be compared."""
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
