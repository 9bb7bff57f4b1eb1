"""The reference's networks, and the weights that `path:` names for them."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from artschool.config.paths import named_at
from artschool.config.source import Node
from artschool.legacy import diffusion
from artschool.legacy.own import is_of_checkout, is_own
from artschool.legacy.rules import ConversionRule, Fields, Notes, apply, mapping, rebuilt, same, text
from artschool.paths import is_file
from artschool.registry import REGISTRIES
from artschool.wording.names import allowed

COMMON = {**same("after", "before"), "trainable": "frozen"}
WHICH = ("which_model", "which_model_G", "which_model_D")
OPTIONS = ("args", "kwargs")
WEIGHTS, PREFIX = "pretrain_model_", "pretrain_base_path_"
DVAE_NAME, DVAE_CONFIG = "dvae", "../experiments/train_diffusion_vocoder_22k_level.yml"
"""Defaults of the reference for the network of another file that makes codes of spectrograms."""


def _vgg_critic(fields: Fields, node: Node, path: str, notes: Notes) -> None:
    """Turn the flag for one more stage into the number of stages."""
    extra = node.get("extra_conv")
    if extra is not None and extra.value is True:
        fields["stages"] = rebuilt(extra, 6)


_VGG_CRITIC = ConversionRule(
    "vgg_critic",
    {**COMMON, "in_nc": "in_channels", "nf": "width", "image_size": "image_size"},
    constants={"norm": "group"},
    dropped={"do_checkpointing": "it only saved memory"},
    values={"trainable": {True: False, False: True}},
    silent=("extra_conv",),
    finish=_vgg_critic,
)
NETWORKS: dict[str, ConversionRule] = {
    "RRDBNet": ConversionRule(
        "rrdb",
        {
            **COMMON,
            "in_nc": "in_channels",
            "out_nc": "out_channels",
            "nf": "width",
            "nb": "blocks",
            "gc": "growth",
            "scale": "scale",
            "additive_mode": "skip",
            "output_mode": "output",
            "initial_stride": "first_stride",
        },
        constants={"variant": "dl_art_school"},
        values={
            "trainable": {True: False, False: True},
            "scale": {1: 2, 2: 2, 3: 2, 4: 4, 8: 8},  # The first enlargement always took place.
            "additive_mode": {"not": "none", "additive": "bilinear", "additive_enforced": "bilinear_means"},
            "output_mode": {"hq_only": "image", "hq+features": "image_and_features", "features_only": "features"},
        },
    ),
    "discriminator_vgg_128": replace(_VGG_CRITIC, constants={"norm": "batch"}),
    "discriminator_vgg_128_gn": _VGG_CRITIC,
    "discriminator_vgg_128_gn_checkpointed": _VGG_CRITIC,
}
"""A network that is not listed keeps its name and options: it comes from a plugin."""


def convert_networks(section: Node, path: Node | None, notes: Notes) -> Node:
    """The native `networks:`, with the weights that `path:` names."""
    converted = {
        name: rebuilt(node, convert_network(node, f"networks.{name}", notes)) for name, node in mapping(section).items()
    }
    for name, node in converted.items():
        weights = weights_of(path, name)
        if weights is not None:
            mapping(node)["weights"] = weights
    for key, node in mapping(path).items():
        name = key.removeprefix(WEIGHTS if key.startswith(WEIGHTS) else PREFIX)
        if name != key and name not in converted and node.value is not None:
            hint = allowed("Available networks", name, converted)
            notes.refuse(node, f"path.{key}", f"unknown network {name!r}, which the reference ignored", hint)
    return rebuilt(section, converted)


def convert_network(node: Node, path: str, notes: Notes) -> Fields:
    """One network, with its options in one mapping."""
    which = next((mapping(node)[key] for key in WHICH if key in mapping(node)), None)
    if which is None:
        notes.refuse(node, path, "requires 'which_model'")
        return mapping(node)
    fields = {k: n for k, n in mapping(node).items() if k not in (*WHICH, *OPTIONS, "type")}
    name = text(which)
    for key in OPTIONS:
        options = node.get(key)
        fields |= {key: options} if options and is_of_checkout("networks", name) else mapping(options)
    is_known = is_own("networks", name)
    rule = None if is_known else NETWORKS.get(name)
    if rule is None:
        if name not in REGISTRIES["networks"]:
            warn_of_plugin("network", name, which, f"{path}.{which_key(node)}", notes)
        fields.pop("wandb_debug", None)
        trainable = fields.pop("trainable", None)
        own = {"type": which, **fields}
        if trainable is not None and trainable.value is False:
            own["frozen"] = rebuilt(trainable, True)
        return own
    return apply(rule, rebuilt(node, {"type": which, **fields}), path, notes, what=f"network {name!r}")


def which_key(node: Node) -> str:
    """The key under which an entry names its network."""
    return next(key for key in WHICH if node.get(key) is not None)


def warn_of_plugin(kind: str, name: str, node: Node, path: str, notes: Notes) -> None:
    """Warn that a component has to come from a plugin."""
    register = {"network": "networks", "data set": "datasets"}[kind]
    message = f"{name!r} is not a built-in {kind}; a plugin has to register it"
    registration = f"`@{register}.register({name!r})`"
    hint = f"Fix: register it with {registration} in a Python file, and list the file: `plugins: [own.py]`."
    hint = "\n".join(filter(None, (hint, diffusion.PLUGIN_NETWORKS.get(name))))
    notes.warn(node, path, message, hint)


def weights_of(path: Node | None, name: str) -> Node | None:
    """The weights that `path:` names for a network, as a native `weights:`."""
    section = mapping(path)
    file, prefix, strict = section.get(WEIGHTS + name), section.get(PREFIX + name), section.get("strict_load")
    if file is None or not file.value:
        return None
    fields = {"file": rebuilt(file, file.value)}
    if prefix is not None and prefix.value:
        fields["prefix"] = prefix
    if strict is not None and strict.value is False:
        fields["strict"] = strict
    return rebuilt(file, fields) if len(fields) > 1 else file


def network_of_file(source: Node, name: Node, path: str, notes: Notes) -> Node:
    """A network of another file, frozen in this one.

    The file is searched from the working folder, as in the reference, and then from the folder of the old file.
    """
    here, beside = Path(text(source)).expanduser(), named_at(source.place, text(source))
    if not (is_file(here) or is_file(beside)):
        tried = " and ".join(dict.fromkeys(os.path.normpath(file.absolute()) for file in (here, beside)))
        message = f"file {text(source)!r} does not exist (tried {tried})"
        notes.refuse(
            source, path, message, "A path is relative to the working folder, or to the file that contains it."
        )
        return Node({}, source.place)
    if is_file(here):
        source = rebuilt(source, os.path.relpath(here, Path(source.place.source).parent))
    message = f"network {text(name)!r} of {text(source)!r} becomes a frozen network of this file"
    notes.warn(source, path, message, "It needs that file and weights: `pretrain_model_...` there, or `weights:` here.")
    fields = {"from": rebuilt(source, {"file": source, "network": name}), "frozen": Node(True, name.place)}
    return Node(fields, source.place, source.key_place)
