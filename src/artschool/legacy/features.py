"""The reference's perceptual losses, which loaded their own feature networks."""

from __future__ import annotations

from artschool.config.source import Node
from artschool.legacy.rules import ConversionRule, Fields, Notes, as_node, loss_rule, rebuilt, same, text

VGG = {"type": "vgg", "depth": 19, "layers": ["conv5_4"], "frozen": True}
"""The features that the reference compared: the last convolution of VGG19, before its ReLU."""
DOWNLOADED = "vgg19-dcbb9e9d.pth"


def _with_network(fields: Fields, node: Node, path: str, notes: Notes) -> None:
    fields["network"] = _network(node, node.get("load_path"), path, notes)


def _with_two_networks(fields: Fields, node: Node, path: str, notes: Notes) -> None:
    """Features of fake samples come from the user's network, those of real samples from torchvision's."""
    fields["network"] = _network(node, node.get("load_path"), path, notes)
    fields["real_network"] = _network(node, None, path, notes)


FEATURES: dict[str, ConversionRule] = {
    name: loss_rule(
        "perceptual",
        same("real", "fake", "criterion"),
        values={"criterion": {"l1": "l1", "l2": "l2", "cosine": "cosine"}},
        silent=("which_model_F", "load_path"),
        finish=finish,
    )
    for name, finish in (("feature", _with_network), ("interpreted_feature", _with_two_networks))
}


def _network(node: Node, load_path: Node | None, path: str, notes: Notes) -> Node:
    """Add a frozen feature network to the file. Returns its name."""
    at = node.get("which_model_F") or node
    if text(at) != "vgg":
        found = at.plain() if at is not node else None
        hint = "`perceptual` takes any network that returns feature maps; register one in a plugin."
        notes.refuse(at, f"{path}.which_model_F", f"feature network {found!r} has no counterpart", hint)
    if load_path is None or not text(load_path):
        message = f"needs torchvision's weights of VGG19; artschool downloads nothing, so supply {DOWNLOADED}"
        notes.warn(
            at, f"{path}.load_path", message, f"Download it from https://download.pytorch.org/models/{DOWNLOADED}"
        )
        load_path = as_node(DOWNLOADED, at.place)
    name, number = "vgg19_features", 2
    while name in notes.networks and text(notes.networks[name].get("weights")) != text(load_path):
        name, number = f"vgg19_features_{number}", number + 1
    fields = {key: as_node(value, at.place) for key, value in VGG.items()}
    notes.networks[name] = Node({**fields, "weights": load_path}, at.place, at.key_place)
    return rebuilt(at, name)
