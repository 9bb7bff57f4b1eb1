"""The reference's injectors."""

from __future__ import annotations

from collections.abc import Iterable

from artschool.config.source import Node
from artschool.faults import FaultKind
from artschool.legacy import audio, diffusion, injectors_general, video
from artschool.legacy.networks import DVAE_CONFIG, DVAE_NAME, network_of_file
from artschool.legacy.own import is_own, own_injector
from artschool.legacy.rules import (
    ConversionRule,
    Fields,
    Notes,
    apply,
    as_node,
    injector_rule,
    items,
    mapping,
    rebuilt,
    same,
    text,
)
from artschool.wording.names import allowed


def _call_as_before(fields: Fields, node: Node, path: str, notes: Notes) -> None:
    """Convert what a network call of the reference did besides its options."""
    grad, inputs = fields.get("grad"), fields.get("in")
    if grad is not None and grad.value is False:
        fields["mode"] = Node("eval", grad.place)
    if inputs is not None:
        given = [rebuilt(part, None) if part.value == "None" else part for part in items(inputs)]
        fields["in"] = rebuilt(inputs, given) if isinstance(inputs.value, list) else given[0] if given else inputs


def _call_of_another_file(fields: Fields, node: Node, path: str, notes: Notes) -> None:
    """Codes of a frozen network of another file, which becomes a network of this one."""
    source = node.get("dvae_config") or as_node(DVAE_CONFIG, node.place)
    network = node.get("dvae_name") or as_node(DVAE_NAME, node.place)
    notes.hold(text(network), network_of_file(source, network, f"{path}.dvae_config", notes))
    fields["network"] = network
    fields["method"] = Node("get_codebook_indices", network.place)


GENERAL: dict[str, ConversionRule] = {
    "add_noise": injector_rule("add_noise", {"scale": "scale", "mode": "kind"}),
    "concatenate": injector_rule("concatenate", same("dim")),
    "denormalize": injector_rule("denormalize", same("shift", "scale")),
    "direct": injector_rule("alias"),
    "discrete_token": injector_rule(
        "forward", silent=("dvae_config", "dvae_name"), constants={"grad": False}, finish=_call_of_another_file
    ),
    "discriminator": injector_rule("forward", {"discriminator": "network"}, finish=_call_as_before),
    "generator": injector_rule(
        "forward",
        {"generator": "network", "fp16": "precision", **same("method", "args", "grad")},
        values={"fp16": {False: "fp32"}},
        harmless={"fp16": (True, None)},
        finish=_call_as_before,
    ),
    "grey": injector_rule("grey"),
    "interpolate": injector_rule("interpolate", same("scale_factor", "size", "mode")),
    "normalize": injector_rule("normalize", same("shift", "scale")),
    "pad": injector_rule(
        "pad",
        same("multiple"),
        changed={"multiple": "does not pad a length that is already a multiple; the reference added a whole multiple"},
    ),
    "squeeze": injector_rule("squeeze", same("dim")),
}
INJECTORS: dict[str, ConversionRule] = {
    **GENERAL,
    **injectors_general.INJECTORS,
    **audio.INJECTORS,
    **diffusion.INJECTORS,
    **video.INJECTORS,
}


def convert_injectors(step: Node, path: str, notes: Notes) -> Node | None:
    """The native `injectors:` of a step."""
    section = step.get("injectors")
    if section is None:
        return None
    converted: Fields = {}
    for name, node in mapping(section).items():
        converted[name] = rebuilt(node, convert_injector(node, f"{path}.injectors.{name}", notes))
    return rebuilt(section, converted)


def convert_injector(node: Node, path: str, notes: Notes) -> Fields:
    """Convert one injector. One without a counterpart is a fault and stays unchanged."""
    name = text(node.get("type"))
    if is_own("injectors", name):
        return apply(own_injector(name, node), node, path, notes, what=f"injector {name!r}")
    if name not in INJECTORS:
        refuse_unknown("injector", name, node, path, notes, known=INJECTORS)
        return mapping(node)
    if name in injectors_general.HOLDERS:
        return _convert_holder(name, node, path, notes)
    return apply(INJECTORS[name], node, path, notes, what=f"injector {name!r}")


def _convert_holder(name: str, node: Node, path: str, notes: Notes) -> Fields:
    """An injector that contains another: `subtype` is the inner type, and the options of both are in one mapping."""
    rule, subtype = INJECTORS[name], node.get("subtype")
    own = {"type", *rule.options, *rule.harmless}
    fields = apply(
        rule,
        rebuilt(node, {key: value for key, value in mapping(node).items() if key in own}),
        path,
        notes,
        what=f"injector {name!r}",
    )
    if subtype is None:
        notes.refuse(node, path, "requires 'subtype', the type of its inner injector")
        return fields
    inner = {key: value for key, value in mapping(node).items() if key not in own and key != "subtype"}
    held = convert_injector(rebuilt(node, {"type": subtype, **inner}), path, notes)
    fields["injector"] = Node(held, subtype.place, subtype.key_place)
    return fields


def refuse_unknown(kind: str, name: str, node: Node, path: str, notes: Notes, *, known: Iterable[str]) -> None:
    """Report a component that cannot be converted."""
    if not name:
        notes.refuse(node, path, "requires 'type'")
        return
    message = f"{kind} {name!r} is not converted, and no plugin of the file registers it"
    hint = allowed("Available", name, known)
    notes.refuse(node.get("type") or node, path, message, hint, kind=FaultKind.UNKNOWN_COMPONENT)
