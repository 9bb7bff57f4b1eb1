"""Optional packages that are missing."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

from artschool.errors import ResourceError
from artschool.extras import extra


@pytest.mark.parametrize(
    ("module", "missing"), [("skimage.data", "scikit-image"), ("whole.part", "whole.part"), ("hollow", "nowhere")]
)
def test_what_is_missing_is_named(module: str, missing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "whole.py").write_text("")
    (tmp_path / "hollow.py").write_text("import nowhere.inside")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(sys.modules, "skimage", None)
    monkeypatch.delitem(sys.modules, "skimage.data", raising=False)
    said = rf"^it requires {missing}, which is not installed\. Fix: pip install 'artschool\[demo\]'$"
    with pytest.raises(ResourceError, match=said), extra("demo", "it"):
        importlib.import_module(module)
    monkeypatch.delitem(sys.modules, "whole", raising=False)
