"""Files of the reference for `test.py` and `process_video.py`: networks and injectors that are applied, not trained."""

from __future__ import annotations

from pathlib import Path

from artschool.config.source import Node
from artschool.legacy.rules import Fields, Notes, as_node, mapping, rebuilt

TRAINED = ("optimizer_params", "optimizer", "losses", "clip_grad_eps")
OPTIONS = (
    *("suffix", "dataset", "frames_per_mini_vid", "minivid_crf", "mini_vid_output_folder", "minivid_start_no"),
    *("generator_img_index", "recurrent_mode", "recurrent_hr_generator", "compute_psnr"),
)
"""Options of the two commands at the top of the file."""


def is_applied(tree: Node) -> bool:
    """Whether a file only applies networks: it has no `train:`, and no optimizers or no training data."""
    steps, data = mapping(tree.get("steps")), mapping(tree.get("datasets"))
    has_data = bool(data) or tree.get("dataset") is not None
    trains = "train" in data and any("optimizer_params" in mapping(step) for step in steps.values())
    return tree.get("train") is None and bool(steps) and has_data and not trains


def as_training(tree: Node, notes: Notes) -> Node:
    """The file as a training of one iteration without an optimizer, whose dataflow `artschool apply` takes.

    The first data set becomes that of the training.
    """
    message = "has no `train:`: its networks are applied to data, and nothing is trained"
    own = tree.get("dataset")
    film = mapping(own).get("video_file")
    inputs = "IMAGES" if film is None else str(film.value)
    hint = f"Fix: write `artschool apply {Path(tree.place.source).name} {inputs} -o out`."
    notes.warn(tree, "", message, hint)
    data = {"train": _frames(own)} if own is not None else dict(mapping(tree.get("datasets")))
    if data and "train" not in data:
        first, *others = data
        data = {"train": data[first], **{name: data[name] for name in others}}
    networks = [*mapping(tree.get("networks"))]
    steps = {name: _applied(step, networks) for name, step in mapping(tree.get("steps")).items()}
    entries = {key: node for key, node in mapping(tree).items() if key not in (*OPTIONS, "eval")}
    entries["datasets"] = Node({**data}, tree.place)
    entries["steps"] = rebuilt(mapping(tree)["steps"], steps)
    return rebuilt(tree, entries)


def _applied(step: Node, networks: list[str]) -> Node:
    """A step without what only training needs. It names a network, which is not trained."""
    kept: Fields = {key: node for key, node in mapping(step).items() if key not in TRAINED}
    kept.setdefault("training", step.get("generator") or as_node(networks[0] if networks else None, step.place))
    kept.pop("generator", None)
    return rebuilt(step, {**kept, "optimizer": as_node("none", step.place)})


def _frames(data: Node) -> Node:
    """The frames of a video, as a data set of the images in their folder."""
    kept = {key: node for key, node in mapping(data).items() if key in ("batch_size", "n_workers")}
    video = data.get("video_file") or as_node("frames", data.place)
    fields = {"mode": as_node("fullimage", data.place), "dataroot_GT": video, "scale": as_node(1, data.place)}
    return rebuilt(data, {**fields, **kept})
