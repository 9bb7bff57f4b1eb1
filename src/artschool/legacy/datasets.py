"""The reference's data sets."""

from __future__ import annotations

from artschool.config.source import Node
from artschool.legacy.corruptions import CORRUPTIONS, corruptions
from artschool.legacy.networks import warn_of_plugin
from artschool.legacy.own import is_of_checkout, is_own
from artschool.legacy.rules import (
    ConversionRule,
    Fields,
    Notes,
    apply,
    as_node,
    items,
    known_options,
    mapping,
    rebuilt,
    same,
    text,
)
from artschool.registry import REGISTRIES

LOADER = {**same("batch_size"), "n_workers": "workers", "use_shuffle": "shuffle"}
ONE_SEED = {"random_seed": "all random numbers depend on `seed`, and evaluations repeat the same ones"}
SILENT = ("name", "phase", "pin_memory", "cache_path", "eval")
SAME_SIZE = "crops are multiples of the scale; choose a `size` that is a multiple your network needs"
ALIGNED = {"force_multiple": SAME_SIZE, **ONE_SEED}


def _pictures(fields: Fields, node: Node, path: str, notes: Notes) -> None:
    """Convert several folders, their weights, corruptions, and the range of values."""
    folders = items(fields.get("path"))
    if folders:
        fields["path"] = folders[0] if len(folders) == 1 else fields["path"]
    weights = node.get("weights") or node.get("dataroot_GT_weights")
    if len(folders) > 1 and weights is not None and len({str(w.plain()) for w in items(weights)}) > 1:
        notes.refuse(
            weights,
            f"{path}.weights",
            "one data set cannot weight its folders",
            "Fix: write a `union` of one data set for each folder, with these `weights`.",
        )
    signed = node.get("rgb_n1_to_1")
    if (signed is not None and signed.value is True) or text(node.get("normalize")) == "stylegan2_norm":
        fields["values"] = as_node([-1, 1], node.place)
    if (flip := node.get("disable_flip")) is None or flip.value is not True:
        fields["augment"] = as_node("flip", node.place)
    chain = corruptions(node, path, notes)
    if chain is not None:
        fields["corruptions"] = chain


PAIRS = "`image_pairs` reads pairs of images from two folders."
GREY = "The injector `grey` converts images to grey."
LABELS = "`torchvision_dataset` with `name: ImageFolder` labels images by folder; otherwise register your own."
RESIZED = "Fix: resize images in an injector, such as `interpolate`."
PICTURES = {**LOADER, "paths": "path", "scale": "scale"}
DATASETS: dict[str, ConversionRule] = {
    "imagefolder": ConversionRule(
        "image_folder",
        {**PICTURES, "target_size": "size"},
        constants={"crop": "middle"},
        harmless={
            "labeler": (None,),
            "normalize": (None, "stylegan2_norm"),
            "center_crop_hq_sz": (None,),
            "force_square": (True,),
            "fetch_alt_image": (False, None),
            "fetch_alt_tiled_image": (False, None),
            "fixed_parameters": (None, {}),
            "all_image_color_jitter": (0, None),
            "corrupt_before_downsize_factor": (1, None),
        },
        dropped=ALIGNED,
        advice={"labeler": LABELS, "normalize": "The injector `normalize` shifts and scales channels."},
        changed={"skip_lq": "'lq' is a copy of 'hq' at scale 1; the reference omitted it"},
        silent=(*SILENT, "skip_lq", "weights", "rgb_n1_to_1", "disable_flip", *CORRUPTIONS),
        finish=_pictures,
    ),
    "single_image_extensible": ConversionRule(
        "image_folder",
        {**PICTURES, "target_size": "size"},
        constants={"crop": "middle", "exclude": ["ref.*"]},
        advice={"need_ref": "`patch_with_reference` yields the whole image with each patch."},
        harmless={"need_ref": (False,), "needs_metadata": (False,), "strict": (False,), "ignore_first": (0,)},
        dropped={**ALIGNED, "cache_ref": "no reference images are read"},
        changed={"paths": "yields 'lq' and 'hq'; `patch_with_reference` also yields the whole image"},
        silent=(*SILENT, "weights", *CORRUPTIONS),
        finish=lambda fields, node, path, notes: _pictures(fields, _without_flip(node), path, notes),
    ),
    "stylegan2": ConversionRule(
        "image_folder",
        {**LOADER, "path": "path", "target_size": "size", "scale": "scale"},
        constants={"crop": "middle"},
        harmless={"transparent": (False,), "aug_prob": (0, 0.0)},
        silent=SILENT,
    ),
    "zipfile": ConversionRule(
        "image_folder",
        {**LOADER, "path": "path", "resolution": "size", "scale": "scale"},
        constants={"crop": "middle"},
        harmless={"paired_mode": (False,)},
        advice={"paired_mode": PAIRS},
        changed={"path": "values are in 0..1; the reference normalized them by ImageNet's mean and standard deviation"},
        silent=SILENT,
    ),
    "fullimage": ConversionRule(
        "image_folder",
        {**LOADER, "dataroot_GT": "path", "scale": "scale"},
        advice={"dataroot_LQ": PAIRS, "lq_noise": "The injector `add_noise` adds it.", "grayscale": GREY},
        harmless={"dataroot_LQ": (None,), "use_blurring": (False,), "lq_noise": (0, None), "grayscale": (False,)},
        dropped={
            "target_size": "yields whole images; set `size` for patches, or use `patch_with_reference` for both",
            "use_flip": "images are not augmented; `augment: true` flips and rotates patches",
            "use_rot": "images are not augmented; `augment: true` flips and rotates patches",
            "fixed_size": "yields whole images, without patches",
            "tile_scale_normal_stddev": "yields whole images, without patches",
            "use_compression_artifacts": "images are not compressed; `corruptions: {fixed: [jpeg]}` compresses `lq`",
            **ALIGNED,
        },
        silent=(*SILENT, "dataroot_GT_weights", "min_tile_size", "blur_magnitude"),
        finish=lambda fields, node, path, notes: _pictures(fields, _without_flip(node), path, notes),
    ),
    "multiscale": ConversionRule(
        "crop_tree",
        {**PICTURES, "hq_tile_size": "size", "num_scales": "levels"},
        dropped=ONE_SEED,
        changed={"num_scales": "squares are ordered level by level; the reference ordered them depth first"},
        silent=(*SILENT, *CORRUPTIONS),
        finish=lambda fields, node, path, notes: _pictures(fields, _without_flip(node), path, notes),
    ),
    "torch_dataset": ConversionRule(
        "torchvision_dataset",
        {**LOADER, "dataset": "name", "datapath": "root"},
        values={"dataset": {"mnist": "MNIST", "fmnist": "FashionMNIST", "cifar10": "CIFAR10"}},
        harmless={
            **{"flip": (False, None), "crop_sz": (None, 0), "padding": (None, 0), "fixed_len": (None,)},
            **{"random_crop": (False, None), "image_size": (None,), "kwargs": (None, {}), "offset": (0, None)},
        },
        advice={
            "image_size": RESIZED,
            "random_crop": RESIZED,
            "kwargs": "Fix: write `root:`, and the other arguments in `options:`.",
        },
        changed={"dataset": "yields 'image' and 'label' and downloads nothing; the reference's keys had other names"},
        dropped={"test": "select the split with `options: {train: false}`"},
        silent=(*SILENT, "scale"),
    ),
}
"""A data set that no table lists keeps its name and options: it comes from a plugin."""

FRAMES = "Fix: write `frames`, which stacks consecutive images of a folder; `count: 2` gives pairs."
VIEWS = "Fix: use the inner data set, and add injectors `{type: random_view, in: hq, out: aug1}` and the same for aug2."
VIEWED = ConversionRule(
    silent=("dataset", "key1", "key2", *LOADER, *SILENT),
    dropped={
        "crop_size": "views have the size of the images; set their `size`",
        "normalize": "views are in 0..1; the injector `normalize` shifts and scales them",
    },
)
AUDIO = "Fix: write `audio_folder` (recordings), and use its keys in the steps."
SPEECH = "Fix: write `text_audio` (a list of recordings with their texts), or register your own in a plugin."
REFUSED = {
    "multi_frame_extensible": FRAMES,
    "paired_frame": FRAMES,
    "combined": "Fix: write a `union` to alternate samples; to join samples, register a data set in a plugin.",
    "byol_structured_dataset": VIEWS,
    "random_aug_wrapper": "Fix: use the inner data set with `corruptions:`, or an injector such as `random_view`.",
    "random_dataset": "It yields noise; draw it with the injector `noise` in a step.",
    "unsupervised_audio": AUDIO,
    "unsupervised_audio_with_noise": f"{AUDIO} Add the noise with an injector.",
    "preprocessed_mel": f"{AUDIO} Compute the spectrogram with an injector.",
    **dict.fromkeys(("nv_tacotron", "gpt_tts", "grand_conjoined_voice"), SPEECH),
}
"""Data sets of the reference without a counterpart, and the suggested replacement."""
OF_NETWORKS = ("gc", "additive_mode", "output_mode", "initial_stride", "in_nc", "out_nc", "nf", "nb")
"""Options of networks that old files also write in data sets, where they never had an effect."""
OWN = ("paired_voice_audio", "fast_paired_voice_audio", "fast_paired_voice_audio_with_phonemes")
"""Data sets that forks changed. They are kept for a plugin, and the warning names the native alternative."""


def _without_flip(node: Node) -> Node:
    """The entry with flips disabled: these data sets ignored the option."""
    return rebuilt(node, {**mapping(node), "disable_flip": as_node(True, node.place)})


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
        notes.refuse(node, path, "requires 'mode'")
        return mapping(node)
    name = text(mode)
    rest = {key: value for key, value in mapping(node).items() if key != "mode"}
    if name == "byol_dataset" and name not in REGISTRIES["datasets"] and (inner := node.get("dataset")) is not None:
        return _views(rebuilt(node, rest), inner, path, notes)
    is_known = is_own("datasets", name)
    if name in REFUSED and not is_known:
        notes.refuse(mode, f"{path}.mode", f"the reference's data set {name!r} has no counterpart", REFUSED[name])
    rule = None if is_known else DATASETS.get(name)
    if rule is not None:
        rest = {key: value for key, value in rest.items() if key not in OF_NETWORKS or key in known_options(rule)}
        return apply(rule, rebuilt(node, rest), path, notes, what=f"data set {name!r}")
    if name not in REFUSED and name not in REGISTRIES["datasets"]:
        warn_of_plugin("data set", name, mode, f"{path}.mode", notes)
    if name in OWN and not is_known:
        notes.warn(
            mode, f"{path}.mode", "the native data set for recordings with texts is `text_audio`, with other options"
        )
    fields = {LOADER.get(key, key): _inner(value, f"{path}.{key}", notes) for key, value in rest.items()}
    dropped = () if is_of_checkout("datasets", name) else SILENT
    return {"type": mode, **{key: value for key, value in fields.items() if key not in dropped}}


def _views(node: Node, inner: Node, path: str, notes: Notes) -> Fields:
    """The inner data set, batched as the wrapper was. Injectors of the steps draw the views."""
    views = (f"`{{type: random_view, in: {text(node.get(f'key{n}')) or 'hq'}, out: aug{n}}}`" for n in (1, 2))
    hint = f"Fix: add to the injectors of the step: {' and '.join(views)}."
    notes.warn(node, path, "is replaced by its inner data set; injectors have to draw 'aug1' and 'aug2'", hint)
    apply(VIEWED, node, path, notes, what="data set 'byol_dataset'")
    outer = {LOADER[key]: value for key, value in mapping(node).items() if key in LOADER}
    return {**convert_dataset(inner, f"{path}.dataset", notes), **outer}


def _inner(node: Node, path: str, notes: Notes) -> Node:
    return rebuilt(node, convert_dataset(node, path, notes)) if node.get("mode") is not None else node
