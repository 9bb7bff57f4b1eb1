"""Converts a whole file. Every value keeps its location, so that faults point into the old file."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from artschool.components.builtins import load_builtins
from artschool.config.compose import REFERENCE
from artschool.config.source import Node
from artschool.legacy import sections
from artschool.legacy.applied import as_training, is_applied
from artschool.legacy.datasets import convert_datasets
from artschool.legacy.evaluation import convert_evaluation
from artschool.legacy.names import fold_names
from artschool.legacy.networks import PREFIX, WEIGHTS, WHICH, convert_networks
from artschool.legacy.rules import ConversionRule, Fields, Notes, apply, items, mapping, rebuilt, text
from artschool.legacy.steps import convert_steps
from artschool.legacy.unread import leave_to_evaluations
from artschool.registry import REGISTRIES

ORDER = (
    "name",
    "seed",
    "plugins",
    "runs",
    "data",
    "networks",
    "steps",
    "train",
    "ema",
    "evaluate",
    "log",
    "checkpoint",
)
JOIN = "!join"
BEFORE_STEPS = ("network_G", "network_D")
"""Sections of files that older trainers of the repository read."""
OLD_SECTIONS = {"datasets", "path", "eval", "logger", "model", "gpu_ids", "upgrades"}
OWN_SECTIONS = {"data", "ema", "evaluate", "log", "checkpoint", "base"}


def is_legacy(tree: Node) -> bool:
    """Whether a file is in the reference's language: it has more of its section names than of the native ones."""
    steps, networks = mapping(tree.get("steps")).values(), mapping(tree.get("networks")).values()
    old = len(OLD_SECTIONS & mapping(tree).keys())
    old += any(step.get("training") is not None for step in steps)
    old += any(network.get(key) is not None for network in networks for key in WHICH)
    own = len(OWN_SECTIONS & mapping(tree).keys())
    own += any(step.get("trains") is not None for step in steps)
    return old > own


def convert(tree: Node) -> tuple[Node, Notes]:
    """Convert a file of the reference.

    Args:
        tree: Read with `yaml11`.

    Returns:
        The tree and the findings. With faults it is a draft: parts that could not be converted are unchanged.
    """
    notes = Notes()
    model = text(tree.get("model"))
    is_earlier = (bool(model) and model != "extensibletrainer") or any(name in mapping(tree) for name in BEFORE_STEPS)
    if tree.get("steps") is None and is_earlier:
        message = "a file from before steps, which no later version of DL-Art-School trains either"
        notes.refuse(tree, "", message, "Fix: write `networks:` and `steps:`; see docs/from-dlas.md.")
        return tree, notes
    load_builtins()
    tree = fold_names(_cleaned(tree, "", notes), notes)
    if is_only_applied := is_applied(tree):
        tree = as_training(tree, notes)
    _warn_of_misspelt_options(tree, "", notes)
    _warn_of_changed_values(tree, notes)
    fields: Fields = {}
    steps = convert_steps(tree, notes)
    networks = convert_networks(tree.get("networks") or Node({}, tree.place), tree.get("path"), notes)
    evaluation = convert_evaluation(tree, steps, notes)
    networks = _joined(networks, notes.networks, "networks", notes)
    data = convert_datasets(tree, notes)
    if data is not None:
        data = _joined(data, notes.datasets, "data", notes)
    parts = {"data": data, "networks": networks, "steps": steps, "evaluate": evaluation}
    for name, part in parts.items():
        if part is not None:
            fields[name] = part
    _put(fields, sections.TOP, tree, "", notes)
    for name in ("train", "path", "eval", "logger", "upgrades"):
        section = tree.get(name)
        if section is not None:
            _put(fields, getattr(sections, name.upper()), _known(section, name), name, notes)
    if is_only_applied:
        mapping(fields.setdefault("train", Node({}, tree.place)))["iterations"] = Node(1, tree.place)
    if tree.get("logger") is not None:
        sections.put_retention(fields, tree)
    _finish_ema(fields, tree, steps, notes)
    leave_to_evaluations(fields, notes)
    _finish_pictures(fields, notes)
    _drop_defaults(fields)
    ordered = {name: fields[name] for name in ORDER if name in fields}
    return rebuilt(tree, ordered), notes


def _cleaned(node: Node, path: str, notes: Notes) -> Node:
    """Remove YAML tags, which old files may have (`!join` joins text), and escape `${`, which was plain text."""
    value: Any = node.value
    if isinstance(value, dict):
        value = {key: _cleaned(child, f"{path}.{key}".lstrip("."), notes) for key, child in value.items()}
    elif isinstance(value, list):
        value = [_cleaned(child, path, notes) for child in value]
        if node.tag == JOIN:
            value = "".join(str(part.value) for part in value)
    elif isinstance(value, str):
        if REFERENCE.fullmatch(value):
            notes.refuse(node, path, f"placeholder {value!r} is not filled in; write its value")
        value = value.replace("${", "$${")
    return replace(node, value=value, tag=None)


def _warn_of_misspelt_options(node: Node, path: str, notes: Notes) -> None:
    for name, child in mapping(node).items():
        where = f"{path}.{name}" if path else name
        if name in sections.MISTAKES:
            notes.warn(child, where, f"the reference never read {name!r}; the option is {sections.MISTAKES[name]!r}")
        _warn_of_misspelt_options(child, where, notes)


def _warn_of_changed_values(tree: Node, notes: Notes) -> None:
    """Add the warnings that depend on an option's value."""
    name, parts = tree.get("name"), (tree.get("train") or tree).get("mega_batch_factor")
    if name is not None and "debug" in text(name):
        message = (
            "has no effect on the schedule; with 'debug' in the name, the reference logged, saved and evaluated more "
            "often"
        )
        notes.warn(name, "name", message)
    if len(devices := items(tree.get("gpu_ids"))) > 1:
        message = "is dropped: torchrun starts one process for each device"
        hint = f"Fix: write `torchrun --nproc-per-node={len(devices)} -m artschool train FILE`."
        notes.warn(mapping(tree)["gpu_ids"], "gpu_ids", message, hint)
    if parts is not None and isinstance(parts.value, int) and parts.value > 1:
        message = f"splits a batch of any size into {parts.value} micro-batches, weighted by their sizes"
        notes.remark(parts, "train.mega_batch_factor", message)


def _joined(section: Node, more: Fields, path: str, notes: Notes) -> Node:
    """A section together with the entries that old components held. A name that both use is a fault."""
    own = mapping(section)
    for name, node in more.items():
        if name in own:
            message = f"has the same name as an entry made for line {node.place.line}; rename one of them"
            notes.refuse(own[name], f"{path}.{name}", message)
    return rebuilt(section, {**own, **more})


def _known(section: Node, name: str) -> Node:
    """A section without the options that are converted elsewhere."""
    if name != "path":
        return section
    return rebuilt(section, {k: n for k, n in mapping(section).items() if not k.startswith((WEIGHTS, PREFIX))})


def _put(fields: Fields, rule: ConversionRule, section: Node, path: str, notes: Notes) -> None:
    """Put the options of a section at the native paths of the rule."""
    what = f"`{path}:`" if path else "files"
    for native, node in apply(rule, section, path, notes, what=what).items():
        *parents, last = native.split(".")
        target = fields
        for parent in parents:
            inner = target.setdefault(parent, Node({}, node.place, section.key_place))
            target = mapping(inner)
        target[last] = node


def _finish_ema(fields: Fields, tree: Node, steps: Node | None, notes: Notes) -> None:
    """Add `ema:`. The reference averaged every network unless `ema_enabled` was false."""
    train = tree.get("train")
    enabled = train.get("ema_enabled") if train is not None else None
    rate = mapping(fields.pop("ema", None)).get("decay")
    trained = [n for step in mapping(steps).values() for n in items(step.get("trains"))]
    if train is None or not trained or (enabled is not None and enabled.value is False):
        return
    at = rate or enabled or train
    message = (
        "averages include buffers and follow each update; the reference averaged after every step, without buffers"
    )
    notes.warn(at, "train.ema_rate", message, "The reference averaged every network unless `ema_enabled` was false.")
    names = {text(node): node for node in trained if text(node)}
    section = {"decay": rate} if rate is not None else {}
    section["networks"] = Node([rebuilt(node, node.value) for node in names.values()], at.place)
    fields["ema"] = Node(section, at.place, at.key_place)


def _finish_pictures(fields: Fields, notes: Notes) -> None:
    """Drop keys that nothing writes, and `log.pictures` without keys or an interval."""
    log = mapping(fields.get("log"))
    listed, every = mapping(log.get("pictures")).get("keys"), mapping(log.get("pictures")).get("every")
    drawn = {key: _is_drawn(key, fields) for key in map(text, items(listed))}
    keys = [key for key in items(listed) if drawn[text(key)] is not False]
    if listed is not None and (never := [key for key, is_drawn in drawn.items() if is_drawn is False]):
        message = f"drops {_quoted(never)}, which nothing writes in training, so the reference never drew it"
        notes.warn(listed, "logger.visuals", message)
    if listed is not None and (unsure := [key for key, is_drawn in drawn.items() if is_drawn is None]):
        message = f"lists {_quoted(unsure)}, which no step writes; images are drawn only if the data has this key"
        notes.warn(listed, "logger.visuals", message)
    if listed is None or every is None or not keys:
        log.pop("pictures", None)
        return
    mapping(log["pictures"])["keys"] = rebuilt(listed, keys)


def _is_drawn(key: str, fields: Fields) -> bool | None:
    """Whether a key of `visuals` is written in training; None if only the data could tell."""
    injectors = [i for s in mapping(fields.get("steps")).values() for i in mapping(s.get("injectors")).values()]
    if any(key in map(text, items(i.get("out"))) for i in injectors if text(i.get("only")) != "evaluation"):
        return True
    data = text(mapping(mapping(fields.get("data")).get("train")).get("type"))
    yields = REGISTRIES["datasets"].get(data).signature.yields if data in REGISTRIES["datasets"] else None
    return None if yields is None else key in yields


def _quoted(names: list[str]) -> str:
    return ", ".join(map(repr, names))


def _drop_defaults(fields: Fields) -> None:
    """Remove options that have their default value: one micro-batch, full precision."""
    train = mapping(fields.get("train"))
    for name, default in (("accumulate", 1), ("precision", "fp32")):
        if name in train and train[name].value == default:
            del train[name]
