"""The corruptions of images in the reference's data sets."""

from __future__ import annotations

from typing import Any

from artschool.config.source import Node
from artschool.legacy.rules import Notes, as_node, items, text

KINDS: dict[str, Any] = {
    "jpeg": {"kind": "jpeg", "range": [30, 10]},
    "jpeg-low": {"kind": "jpeg", "range": [25, 15]},
    "jpeg-medium": {"kind": "jpeg", "range": [48, 23]},
    "jpeg-broad": {"kind": "jpeg", "range": [75, 15]},
    "jpeg-normal": {"kind": "jpeg", "range": [82, 47]},
    "noise": {"kind": "noise", "range": [0, 0.0068]},
    "noise-5": {"kind": "noise", "range": [0.0057, 0.0057]},
    "lq_resampling": "resize",
    "lq_resampling4x": {"kind": "resize", "range": [4, 4]},
    "color_jitter": "color_jitter",
    "color_quantization": {"kind": "quantize", "range": [64, 8]},
    "saturation": "lighten",
    "greyscale": "grey",
    "none": "none",
}
"""The reference's corruptions. Its uniform noise in 0..a has the standard deviation a / sqrt(12)."""
CORRUPTIONS = (
    "fixed_corruptions",
    "random_corruptions",
    "num_corrupts_per_image",
    "corruption_blur_scale",
    "cosine_bias",
    "corrupt_before_downsize",
)
"""The options of the reference that describe corruptions."""


def corruptions(node: Node, path: str, notes: Notes) -> Node | None:
    """The option `corruptions` of the data set that a node describes. None: it corrupts nothing."""
    scale = node.get("corruption_blur_scale")
    factor = scale.value if scale is not None and isinstance(scale.value, int | float) else 1
    number = node.get("num_corrupts_per_image")
    chain: dict[str, Any] = {}
    for name, key in (("fixed_corruptions", "fixed"), ("random_corruptions", "random")):
        listed = [_corruption(item, factor, f"{path}.{name}", notes) for item in items(node.get(name))]
        if listed and (key == "fixed" or (number is not None and number.value)):
            chain[key] = listed
    if not chain:
        return None
    place = (node.get("fixed_corruptions") or node.get("random_corruptions") or node).place
    bias, early = node.get("cosine_bias"), node.get("corrupt_before_downsize")
    if "random" in chain:
        chain["num_random"] = number.value if number is not None else 0
    if bias is None or bias.value is not False:
        chain["severity"] = "cosine"
    if early is not None and early.value is True:
        chain["before_shrink"] = True
    return as_node(chain, place)


def _corruption(item: Node, blur: float, path: str, notes: Notes) -> Any:
    name = text(item)
    if name in ("gaussian_blur", "motion_blur", "motion-blur"):
        gaussian = name == "gaussian_blur"
        range_ = [0, 1.5 * blur] if gaussian else [1, 1 + 3 * blur]
        return {"kind": "gaussian_blur" if gaussian else "motion_blur", "range": range_}
    if name not in KINDS:
        notes.refuse(
            item, path, f"the corruption {name!r} has no counterpart", f"Available: {', '.join(sorted(KINDS))}."
        )
    elif name.startswith(("noise", "lq_resampling")):
        mean = "is zero-mean normal noise of the same strength; the reference's noise only brightened"
        notes.warn(item, path, f"{name!r} {mean if name[0] == 'n' else 'shrinks and enlarges in one operation'}")
    return KINDS.get(name, "none")
