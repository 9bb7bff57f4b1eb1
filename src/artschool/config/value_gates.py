"""Gates by value: a step trains, or a loss counts, only while a number is below or above a limit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from artschool.config.component import Component, Use
from artschool.config.logged_numbers import unknown_number
from artschool.config.source import Node
from artschool.config.structure import Config, StepConfig
from artschool.config.when import ALWAYS
from artschool.faults import Fault
from artschool.registry.entries import LossEntry, WhileEntry

HALF = 0.5


@dataclass(frozen=True)
class Rule:
    """When a value opens and closes a gate.

    Attributes:
        value: A key of the dataflow, or a number of the log.
        opens: Limit of a closed gate.
        closes: Limit of an open gate.
        is_below: Whether the gate is open below the limit, or above it.
    """

    value: str
    opens: float
    closes: float
    is_below: bool

    @property
    def is_number(self) -> bool:
        """Whether the value is a number of the log, such as `critic/accuracy`, and not a key."""
        return "/" in self.value

    def __str__(self) -> str:
        until = f", until {self.closes:g}" if self.closes != self.opens else ""
        return f"while {self.value} is {'below' if self.is_below else 'above'} {self.opens:g}{until}"


def rule_of(written: WhileEntry | str) -> Rule:
    """The rule that `while:` writes. A key alone is open above 0.5: while a truth value is true."""
    entry = WhileEntry(value=written, above=HALF) if isinstance(written, str) else written
    is_below = entry.below is not None
    limit = entry.below if entry.below is not None else entry.above
    opens = HALF if limit is None else limit
    return Rule(entry.value, opens, opens if entry.until is None else entry.until, is_below)


def rule_of_step(step: StepConfig) -> Rule | None:
    """The gate of a step by value, if it has one."""
    return None if step.section.while_ is None else rule_of(step.section.while_)


def rule_of_loss(loss: Component) -> Rule | None:
    """The gate of a loss by value, if it has one."""
    return rule_of(loss.entry.while_) if isinstance(loss.entry, LossEntry) and loss.entry.while_ is not None else None


def gates_of(step: StepConfig) -> str:
    """The gates of a step in words, those by value too; empty for a step that always trains."""
    when, rule = step.section.trains_when, rule_of_step(step)
    return ", ".join([*([] if when == ALWAYS else [str(when)]), *([] if rule is None else [str(rule)])])


@dataclass
class KeyReader(Component):
    """The gate of a step as a reader of its key."""

    key: Use | None = None

    @property
    def inputs(self) -> list[Use]:
        """The key."""
        return [self.key] if self.key is not None else []


def key_readers(step: StepConfig) -> list[Component]:
    """The gate of a step by a key, which reads the key after the losses."""
    rule = rule_of_step(step)
    if rule is None or rule.is_number:
        return []
    node = step.node.get("while") or step.node
    place = (node.get("value") or node).place
    return [KeyReader("gates", f"steps.{step.name}.while", node, key=Use("value", rule.value, place))]


def value_gate_faults(config: Config) -> Iterator[Fault]:
    """Faults of gates by value."""
    for step in config.steps.values():
        path = f"steps.{step.name}.while"
        if (rule := rule_of_step(step)) is not None:
            node = step.node.get("while") or step.node
            yield from _faults(config, rule, step.section.while_, node, path)
            if not rule.is_number and step.section.batch_sizing is not None:
                message = "a key decides about the gradients of one iteration, but batch_sizing sums those of several"
                hint = "Fix: remove one of the two, or use a number of the log."
                yield Fault(node.start, path, message, hint)
            if step.optimizer is None and step.of is None:
                yield Fault(node.start, path, "has no effect, because the step has no optimizer")
        for loss in step.losses.values():
            if (rule := rule_of_loss(loss)) is not None:
                node = loss.node.get("while") or loss.node
                yield from _faults(config, rule, None, node, f"{loss.path}.while")
                if not rule.is_number:
                    message = f"{rule.value!r} is a key; the gate of a loss reads a number of the log"
                    hint = "Fix: put the gate at the step, or give the loss a key as its `weight`: 0 switches it off."
                    yield Fault(node.start, f"{loss.path}.while", message, hint)
                if isinstance(loss.entry, LossEntry) and loss.entry.out is not None:
                    message = f"may close at any iteration, and nothing would then write {loss.entry.out!r}"
                    yield Fault(node.start, f"{loss.path}.while", message, "Fix: remove `while` or `out`.")


def _faults(config: Config, rule: Rule, written: WhileEntry | str | None, node: Node, path: str) -> Iterator[Fault]:
    value = node.get("value") or node
    limits = [name for name in ("below", "above") if (limit := node.get(name)) is not None and limit.value is not None]
    if isinstance(node.value, dict) and len(limits) != 1:
        if limits:
            yield Fault(node.start, path, "sets both 'below' and 'above'; remove one")
        else:
            yield Fault.missing_option(node.start, path, "below", "above")
        return
    if rule.is_number and isinstance(written, str):
        hint = f"Fix: write `while: {{value: {rule.value}, below: ...}}`."
        yield Fault(value.place, path, f"{rule.value!r} is a number of the log, which needs a limit", hint)
        return
    wrong_side = rule.closes < rule.opens if rule.is_below else rule.closes > rule.opens
    if wrong_side:
        side = "or more" if rule.is_below else "or less"
        place = (node.get("until") or node).place
        message = f"is {rule.closes:g}, so the gate would close before it opens (expected {rule.opens:g} {side})"
        yield Fault(place, f"{path}.until", message)
    if rule.is_number:
        yield from unknown_number(config, rule.value, value.place, f"{path}.value")
