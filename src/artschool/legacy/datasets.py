"""The reference's data sets."""

from __future__ import annotations

from artschool.config.source import Node
from artschool.legacy.networks import tell_plugin
from artschool.legacy.rules import Fields, Notes, Rule, apply, items, mapping, rebuilt, same, text

LOADER = {**same("batch_size"), "n_workers": "workers", "use_shuffle": "shuffle"}
SILENT = ("name", "phase")

DATASETS: dict[str, Rule] = {
    "imagefolder": Rule(
        "image_folder",
        {**LOADER, "paths": "path", "target_size": "size", "scale": "scale"},
        harmless={
            "rgb_n1_to_1": (False,),
            "fixed_corruptions": ([], ["none"]),
            "random_corruptions": ([], ["none"]),
            "num_corrupts_per_image": (0,),
            "labeler": (None,),
        },
        changed={
            "target_size": "cuts patches of this size at random; the reference shrank the middle square to it",
            "skip_lq": "'lq' is a copy of 'hq' at scale 1, rather than missing",
        },
        silent=(*SILENT, "skip_lq", "corruption_blur_scale", "corrupt_before_downsize"),
    ),
    "fullimage": Rule("image_folder", {**LOADER, "dataroot_GT": "path", "scale": "scale"}, silent=SILENT),
}
"""A data set that is not here keeps its name and options: it is the user's own, and comes from a plugin."""


def convert_datasets(tree: Node, notes: Notes) -> Node | None:
    """The native `data:`."""
    section, scale = tree.get("datasets"), tree.get("scale")
    if section is None:
        return None
    converted = {}
    for name, node in mapping(section).items():
        entry = dict(mapping(node))
        if scale is not None and text(entry.get("mode")) in DATASETS:
            entry.setdefault("scale", scale)
        converted[name] = rebuilt(node, convert_dataset(rebuilt(node, entry), f"datasets.{name}", notes))
    return rebuilt(section, converted)


def convert_dataset(node: Node, path: str, notes: Notes) -> Fields:
    """One data set, with those inside it."""
    mode = node.get("mode")
    if mode is None:
        notes.refuse(node, path, "needs 'mode'")
        return mapping(node)
    name = text(mode)
    rest = {key: value for key, value in mapping(node).items() if key != "mode"}
    rule = DATASETS.get(name)
    if rule is None:
        tell_plugin("data set", name, mode, f"{path}.mode", notes)
        fields = {LOADER.get(key, key): _inner(value, f"{path}.{key}", notes) for key, value in rest.items()}
        return {"type": mode, **{key: value for key, value in fields.items() if key not in SILENT}}
    fields = apply(rule, rebuilt(node, rest), path, notes, what=f"data set {name!r}")
    folder = fields.get("path")
    if folder is not None and isinstance(folder.value, list):
        if len(folder.value) > 1:
            notes.refuse(folder, f"{path}.paths", "several folders have no counterpart yet; link them into one")
        fields["path"] = items(folder)[0] if folder.value else folder
    return fields


def _inner(node: Node, path: str, notes: Notes) -> Node:
    return rebuilt(node, convert_dataset(node, path, notes)) if node.get("mode") is not None else node
