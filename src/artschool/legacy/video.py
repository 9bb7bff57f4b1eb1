"""The reference's video injectors and losses."""

from __future__ import annotations

from artschool.config.source import Node
from artschool.legacy.rules import (
    ConversionRule,
    Fields,
    Notes,
    as_node,
    injector_rule,
    items,
    loss_rule,
    rebuilt,
    same,
)
from artschool.legacy.rules import text as text_of

CALLS_FLOW = "calls its flow network with two images; the reference passed both in one tensor, (B, C, 2, H, W)"
GAN_KINDS = {"gan": "vanilla", "pixgan": "vanilla", "ragan": "ragan"}


def _without_input(fields: Fields, node: Node, path: str, notes: Notes) -> None:
    """Drop `in`, which the reference never read: each tensor has its own option."""
    fields.pop("in", None)


def _combined(fields: Fields, node: Node, path: str, notes: Notes) -> None:
    """Convert one of two injectors, chosen by `mode`."""
    mode, out, inputs = text_of(node.get("mode")), fields.get("out"), fields.pop("in", None)
    hq, out_hq, dim = fields.pop("hq", None), node.get("out_hq"), node.get("dim")
    kind = node.get("type") or node
    if mode == "combine" and inputs is not None and out is not None:
        fields["in"] = Node([part for part in (inputs, hq) if part is not None], inputs.place)
        fields["out"] = rebuilt(out, [out, out_hq or rebuilt(out, "_")])
        notes.warn(kind, f"{path}.type", CALLS_FLOW)
        notes.warn(
            out,
            f"{path}.out",
            f"'{text_of(out)}_flow_sample', which the reference wrote for display, is no longer written",
        )
    elif mode == "synthesize" and inputs is not None and dim is not None and isinstance(dim.value, int):
        fields["type"] = rebuilt(kind, "concatenate")
        fields["in"] = rebuilt(inputs, [inputs] * dim.value)
        fields.pop("flow", None)
    else:
        message = "must be 'combine' with 'in' and 'out', or 'synthesize' with 'in' and 'dim'"
        notes.refuse(node.get("mode") or node, f"{path}.mode", message)


def _recurrent(fields: Fields, node: Node, path: str, notes: Notes) -> None:
    """Find the frames among the inputs, which also contained the previous output."""
    inputs, out = fields.get("in"), fields.get("out")
    given, frames = items(inputs), node.get("input_lq_index")
    index = frames.value if frames is not None and isinstance(frames.value, int) else 0
    if inputs is None or not 0 <= index < len(given):
        notes.refuse(node, path, "requires 'in' with the frames at 'input_lq_index'")
        return
    if len(given) > 2:
        message = "has inputs besides the frames and the previous output"
        notes.refuse(inputs, f"{path}.in", message, "Concatenate them with the frames as channels.")
    fields["in"] = given[index]
    if out is not None and isinstance(out.value, list):
        if len(out.value) > 1:
            notes.refuse(
                out,
                f"{path}.out",
                "lists more than one output of the generator",
                "Only images are returned; list one key.",
            )
        fields["out"] = items(out)[0] if out.value else out
    guide = fields.pop("guide", None)
    if guide is not None:
        fields["in"] = Node([given[index], guide], inputs.place)
    fields.setdefault("ping_pong", as_node(True, node.place))
    if fields["ping_pong"].value is False:
        del fields["ping_pong"]
    changed = (
        "computes the flow between inputs, calls the flow network with two images, and multiplies an enlarged flow by "
        "its scale; the reference used the shrunk previous output, and did not multiply. It writes no '_batched' keys: "
        "use `slice` and `fold_dimension`"
    )
    notes.warn(node.get("type") or node, f"{path}.type", changed)


def _temporal(fields: Fields, node: Node, path: str, notes: Notes) -> None:
    """Move the critic and the kind of GAN into an inner loss."""
    kind = node.get("type") or node
    for_generator = node.get("for_generator")
    is_generator = for_generator is not None and bool(for_generator.value)
    inner: Fields = {"type": rebuilt(kind, "generator_gan" if is_generator else "discriminator_gan")}
    for old, new in (("discriminator", "network"), ("kind", "kind"), ("noise", "noise"), ("min_loss", "min_loss")):
        value = fields.pop(old, None)
        if value is not None and not (old in ("noise", "min_loss") and value.value == 0):
            inner[new] = value
    if is_generator and inner.get("kind", kind).value != "ragan":
        fields.pop("real", None)
    fields["loss"] = Node(inner, kind.place)
    notes.warn(kind, f"{path}.type", CALLS_FLOW)
    if not _is_on(node, "fast_forward"):
        notes.warn(
            kind,
            f"{path}.type",
            "is the mean over triplets of frames; the reference summed them without 'fast_forward'",
        )


def _is_on(node: Node, option: str) -> bool:
    given = node.get(option)
    return given is not None and bool(given.value)


def _zoom(fields: Fields, node: Node, path: str, notes: Notes) -> None:
    """Make the ground truth an input, which is returned cropped like the outputs."""
    inputs, hq, out, out_hq = fields.get("in"), fields.pop("hq", None), fields.get("out"), node.get("hq_output")
    given, names = items(inputs), items(out)
    if hq is None or len(given) != 1 or len(names) != 1:
        notes.refuse(
            node, path, "requires 'hq', one 'in' and one 'out'", "Other inputs and outputs have no counterpart."
        )
        return
    fields["in"] = Node([given[0], hq], given[0].place)
    fields["out"] = Node([names[0], out_hq or rebuilt(names[0], "_")], names[0].place)


_RECURRENT = injector_rule(
    "recurrent_generate",
    {
        "generator": "network",
        "flow_network": "flow",
        "flow_input_key": "guide",
        "scale": "scale",
        "do_backwards": "ping_pong",
    },
    harmless={
        "recurrent_index": (1,),
        "output_hq_index": (0,),
        "output_recurrent_index": (0,),
        "hq_recurrent": (False,),
        "first_inputs": (None,),
    },
    constants={"previous": "argument"},
    dropped={"hq_batched_key": "fold `hq` with `fold_dimension`"},
    silent=("input_lq_index",),
    finish=_recurrent,
)
INJECTORS: dict[str, ConversionRule] = {
    "multi_frame_combiner": injector_rule(
        "combine_frames", {"flow": "flow", "in_hq": "hq"}, silent=("mode", "dim", "out_hq"), finish=_combined
    ),
    "progressive_zoom_generator": injector_rule(
        "progressive_zoom",
        {"generator": "network", **same("hq", "depth")},
        harmless={
            "input_lq_index": (0,),
            "output_hq_index": (0,),
            "feed_gen_output_into_input": (True,),
            "recurrent_index": (None,),
            "recurrent_output_index": (None,),
        },
        dropped={"num_branches": "uses one window of each image at each depth; use a larger batch for more"},
        changed={
            "type": "takes one small image and the same at full size, and crops windows itself; the reference took "
            "trees of crops from its data set",
        },
        silent=("hq_output",),
        finish=_zoom,
    ),
    "stereoscopic_flow2image": injector_rule("flow_to_image"),
    "stereoscopic_resample": injector_rule("warp", {"in": "x", "flowfield": "flow"}),
    "teco_flow_adjustment": injector_rule(
        "align_by_flow",
        {"flow_network": "flow", "flow_target": "target", "flowed": "x"},
        changed={
            "type": "calls its flow network with two images, and multiplies an enlarged flow by its scale; the "
            "reference passed both in one tensor, and did not multiply",
        },
        finish=_without_input,
    ),
    "teco_recurrent_generated_sequence": _RECURRENT,
    "teco_recurrent_generated_sequence_injector": _RECURRENT,
}
LOSSES: dict[str, ConversionRule] = {
    "teco_gan": loss_rule(
        "temporal_gan",
        {
            "image_flow_generator": "flow",
            "lr_inputs": "guide",
            "gan_type": "kind",
            **same("fake", "real", "margin", "discriminator", "noise", "min_loss"),
        },
        values={"gan_type": GAN_KINDS},
        harmless={"gradient_penalty": (False,)},
        changed={
            "lr_inputs": "are the images between which the flow is computed; the reference used the judged images"
        },
        silent=("for_generator", "scale", "fast_forward"),
        finish=_temporal,
    ),
    "teco_pingpong": loss_rule("ping_pong", same("fake", "criterion"), values={"criterion": {"l1": "l1", "l2": "l2"}}),
}
