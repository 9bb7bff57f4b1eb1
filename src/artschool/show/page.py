"""The page: a single HTML file with its data, its code and, to be saved, everything that it shows."""

from __future__ import annotations

import base64
import json
import math
import secrets
from collections.abc import Mapping, Sequence
from importlib.resources import files
from string import Template
from typing import Any

from artschool.extras import extra
from artschool.paths import read_file
from artschool.show.data import page_data
from artschool.show.folder import RunFolder
from artschool.show.media import TYPES
from artschool.wording.hidden import without_hidden

PLOTLY = "plotly.js"
"""Address of the library that draws curves, on the page that is served."""
MOST_FILES = 12
"""Maximum number of iterations whose files a saved page contains, of each group."""
MOST_BYTES = 4 * 10**6
"""Maximum size of a file that a saved page contains."""
SVG = "image/svg+xml"


def plotly_code() -> str:
    """The code of the library that draws curves.

    Raises:
        ResourceError: It is not installed.
    """
    with extra("show", "a curve"):
        from plotly.offline import get_plotlyjs
    return str(get_plotlyjs())


def live_page(data: Mapping[str, Any]) -> str:
    """The page that a server sends. It asks for new data every few seconds."""
    return _page(data, live=True, library=f'<script nonce="$nonce" src="{PLOTLY}"></script>')


def saved_page(runs: Sequence[RunFolder]) -> str:
    """The page as a file that needs no other."""
    data = page_data(runs, _embedded, _some)
    return _page(data, live=False, library=f'<script nonce="$nonce">{plotly_code()}</script>')


def as_json(data: Mapping[str, Any]) -> str:
    """Data for the page. Nothing of it can end the element of the page that contains it."""
    return without_hidden(json.dumps(_finite(data), allow_nan=False)).replace("<", "\\u003c")


def _finite(value: Any) -> Any:
    """A value without the numbers that JSON lacks. They become texts, such as the `inf` of a setting."""
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, Mapping):
        return {key: _finite(part) for key, part in value.items()}
    return [*map(_finite, value)] if isinstance(value, list | tuple) else value


def _page(data: Mapping[str, Any], *, live: bool, library: str) -> str:
    folder, nonce = files(__package__), secrets.token_urlsafe(16)
    page = Template(folder.joinpath("page.html").read_text())
    return page.substitute(
        nonce=nonce,
        style=folder.joinpath("page.css").read_text(),
        library=library.replace("$nonce", nonce, 1),
        code=folder.joinpath("page.js").read_text(),
        data=as_json({**data, "live": live}),
    )


def _embedded(run: RunFolder, path: str) -> str:
    """A file as an address that contains it. Empty: it is too large, or gone."""
    file = run.folder / path
    try:
        content = read_file(file) if file.stat().st_size <= MOST_BYTES else b""
    except OSError:
        content = b""
    kind = SVG if file.suffix == ".svg" else TYPES[file.suffix.lower()]
    return f"data:{kind};base64,{base64.b64encode(content).decode()}" if content else ""


def _some(found: Mapping[int, str]) -> dict[int, str]:
    """Some files of a group, evenly from its first to its last."""
    numbers = sorted(found)
    step = max((len(numbers) - 1) / (MOST_FILES - 1), 1.0)
    chosen = {numbers[min(round(index * step), len(numbers) - 1)] for index in range(min(MOST_FILES, len(numbers)))}
    return {number: found[number] for number in sorted(chosen)}
