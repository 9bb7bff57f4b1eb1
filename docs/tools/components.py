"""The reference pages of the components: one page for each kind, from signatures and docstrings."""

from __future__ import annotations

from typing import Any

from artschool.components.builtins import load_builtins
from artschool.config.component import takes_list
from artschool.config.docstrings import attributes, documented
from artschool.config.type_names import annotation_of, limits, type_name
from artschool.config.write import flow
from artschool.registry import REGISTRIES, Registered, Registry
from artschool.registry.signature import Parameter, Role
from docs.tools.markdown import docstring, prose, table

HEAD = ("option", "default", "takes", "meaning")


def pages() -> dict[str, str]:
    """File name to text."""
    load_builtins()
    kinds = {f"{kind}.md": _page(registry) for kind, registry in REGISTRIES.items()}
    return {"components.md": _index(), **kinds}


def _index() -> str:
    rows = [
        (f"[{kind}]({kind}.md)", ", ".join(f"[{name}]({kind}.md#{name})" for name in registry.names()))
        for kind, registry in REGISTRIES.items()
    ]
    text = "Everything that a `type:` can name, from the signatures and docstrings of the code. "
    text += "`artschool components KIND NAME` prints the same, also for your plugins.\n"
    return f"# Components\n\n{text}\n{table(('kind', 'components'), rows)}"


def _page(registry: Registry) -> str:
    items = [registry.get(name) for name in registry.names()]
    title = registry.kind.name.capitalize()
    shared = _rows(items[0], own=False) if items else []
    parts = [f"# {title}\n"]
    if shared:
        parts.append(f"Options of every {registry.kind.one}:\n\n{table(HEAD, shared)}")
    parts += [_component(item) for item in items]
    return "\n".join(parts)


def _component(item: Registered) -> str:
    is_ours = item.target.__module__.startswith("artschool.")
    text = docstring(item.documentation, skip=["Args", "Keyword Args"]) if is_ours else prose(item.summary) + "\n"
    parts = [f"## {item.name}\n", text]
    if not is_ours:
        parts.append(f"This is `{item.target.__module__.removesuffix('.' + item.name)}.{item.target.__qualname__}`.\n")
    if item.signature.inputs:
        parts.append(f"`in:` fills {', '.join(f'`{each.name}`' for each in item.signature.inputs)}, in this order.\n")
    if item.signature.yields:
        parts.append(f"Keys of a sample: {', '.join(f'`{key}`' for key in item.signature.yields)}.\n")
    if rows := _rows(item, own=True):
        parts.append(table(HEAD, rows))
    return "\n".join(parts)


def _rows(item: Registered, *, own: bool) -> list[tuple[str, str, str, str]]:
    """The options of a component: its own, or those of every entry of the kind."""
    parameters = {parameter.name: parameter for parameter in item.signature.parameters}
    texts = attributes(item.model) | documented(item)
    rows = []
    for field, info in item.model.model_fields.items():
        name = info.alias or field
        if name == "type" or (name in parameters) is not own:
            continue
        takes = _takes(parameters[name], info) if own else _bounded(info)
        default = "required" if info.is_required() else f"`{_default(info)}`"
        rows.append((f"`{name}`", default, takes, prose(texts.get(name, ""))))
    return rows


def _default(info: Any) -> str:
    return flow(info.get_default(call_default_factory=True))


def _takes(parameter: Parameter, info: Any) -> str:
    if parameter.role is Role.NESTED:
        one = f"a mapping with the `type` of one of the {parameter.nested_kind}"
        return f"list; each is {one}" if takes_list(parameter.annotation) else one
    return _bounded(info, parameter.annotation)


def _bounded(info: Any, annotation: Any = None) -> str:
    kind = annotation_of(info)
    words = type_name(annotation if annotation is not None else kind)
    return prose(", ".join(part for part in (words, limits(kind)) if part))
