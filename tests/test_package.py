"""The package as its users have it: public names, metadata, distributions."""

from __future__ import annotations

import ast
import os
import pkgutil
import re
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import venv
from email import message_from_bytes
from email.message import Message
from pathlib import Path
from zipfile import ZipFile

import pytest

import artschool
from artschool import errors, public, signature

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PLUGIN = '''
"""A loss and a logger, as a user writes them."""

import artschool
from artschool import ArtschoolError, Context, Logger, Run, load_trained, loggers, losses
from torch import Tensor


@losses.register
def scaled_l1(a: Tensor, b: Tensor, *, scale: float = 1.0, context: Context) -> Tensor:
    """Mean absolute difference, scaled."""
    context.log("raw", (a - b).abs().mean())
    return scale * (a - b).abs().mean()


def notes(logger: Logger, run: Run) -> str:
    logger.note(f"{run.iteration} of artschool {artschool.__version__}")
    try:
        return str(sorted(load_trained("x.yml").networks))
    except ArtschoolError as error:
        return f"{error.exit_code} {'notes' in loggers}"
'''
WRONG = '\n\nnotes("not a logger", 1)\n'


def test_every_public_name_is_there_and_they_are_sorted() -> None:
    assert artschool.__all__ == sorted(set(artschool.__all__))
    assert set(artschool.__all__) <= set(dir(artschool))
    for name in artschool.__all__:
        assert getattr(artschool, name) is not None


def test_public_names_are_typed_as_they_are_imported() -> None:
    (typed,) = [node for node in ast.parse(Path(artschool.__file__).read_text()).body if isinstance(node, ast.If)]
    (imported,) = [node for node in typed.body if isinstance(node, ast.ImportFrom)]
    assert imported.module == "artschool.public"
    assert [alias.name for alias in imported.names] == public.__all__
    assert {*public.__all__, "__version__"} == set(artschool.__all__)


def test_annotations_are_where_plugins_of_earlier_versions_import_them() -> None:
    assert signature.Dataset is artschool.Dataset and signature.Network is artschool.Network
    assert all(hasattr(signature, name) for name in signature.__all__)


def test_no_module_hides_a_public_name() -> None:
    assert not {module.name for module in pkgutil.iter_modules(artschool.__path__)} & set(artschool.__all__)


def test_every_error_is_public() -> None:
    found = {n for n, e in vars(errors).items() if isinstance(e, type) and issubclass(e, errors.ArtschoolError)}
    assert found <= set(artschool.__all__)


def test_a_name_that_is_not_public_is_not_there() -> None:
    with pytest.raises(AttributeError, match=r"^module 'artschool' has no attribute 'trainer'$"):
        _ = artschool.trainer


def test_tests_install_optional_packages_as_users_do() -> None:
    extras = PROJECT["project"]["optional-dependencies"]
    optional = {*extras["audio"], *extras["optim"], *extras["diffusers"]}
    assert optional <= set(PROJECT["dependency-groups"]["test"])


def test_what_make_fast_leaves_out_is_there() -> None:
    (paths,) = re.findall(r"^LONG := ((?:.*\\\n)*.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    left_out = paths.replace("\\", "").split()
    assert len(left_out) > 5
    assert [path for path in left_out if not (ROOT / path).exists()] == []


@pytest.fixture(scope="module")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the source distribution, and the wheel that is built from it."""
    folder: Path = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, ROOT)
    return folder


def run(*command: str | Path, code: int = 0, folder: Path = ROOT) -> str:
    """What a command prints, without a way to import the source."""
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "MYPYPATH")}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


def metadata(distributions: Path) -> Message:
    (wheel,) = distributions.glob("*.whl")
    with ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith("/METADATA"))
        return message_from_bytes(archive.read(name))


def test_the_description_links_to_whole_addresses(distributions: Path) -> None:
    text = str(metadata(distributions).get_payload())
    prose = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    links = re.findall(r"\]\(([^)]+)\)", prose)
    assert len(links) > 20
    assert [link for link in links if not link.startswith(("https://", "#"))] == []
    address = "https://raw.githubusercontent.com/artschool-project/artschool/main/docs/photo_sr.jpg"
    assert f"![Low resolution, bicubic, ours, true]({address})" in text
    pages = [link.partition("/blob/main/")[2].partition("#")[0] for link in links if "/blob/main/" in link]
    assert [page for page in pages if not (ROOT / page).exists()] == []


def test_the_metadata_names_version_types_and_addresses(distributions: Path) -> None:
    head = metadata(distributions)
    assert head["Version"] == artschool.__version__
    assert head["License-Expression"] == "Apache-2.0"
    assert "Typing :: Typed" in head.get_all("Classifier", [])
    assert "Homepage, https://github.com/artschool-project/artschool" in head.get_all("Project-URL", [])
    assert "dev" not in head.get_all("Provides-Extra", [])


def test_the_source_distribution_has_what_its_tests_need(distributions: Path) -> None:
    (source,) = distributions.glob("*.tar.gz")
    with tarfile.open(source) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    tracked = {"Makefile", "constraints.txt", "LICENSE", "README.md", "docs/language.md", "recipes/photo_sr.yml"}
    assert tracked | {"tests/conftest.py", "tests/test_package.py", "src/artschool/py.typed"} <= names
    assert not [name for name in names if name.startswith((".venv", "runs/", "data/"))]


@pytest.mark.slow
def test_the_wheel_works_in_an_environment_of_its_own(distributions: Path, tmp_path: Path) -> None:
    """Over five seconds: builds, installs, checks a recipe and type-checks against all of torch."""
    (wheel,) = distributions.glob("*.whl")
    bare = tmp_path / "bare"
    venv.create(bare, symlinks=True)
    python = bare / "bin" / "python"
    run(sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps", "--no-index", wheel)
    # It sees what artschool needs, but not the source: a .pth file of the packages that it sees has no effect.
    site = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip())
    (site / "needed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    assert run(python, "-c", "import artschool; print(artschool.__file__)").startswith(str(site))

    recipes = tmp_path / "recipes"
    (source,) = distributions.glob("*.tar.gz")
    with tarfile.open(source) as archive:
        archive.extractall(tmp_path, filter="data")
    (tmp_path / source.name.removesuffix(".tar.gz") / "recipes").rename(recipes)
    run(bare / "bin" / "artschool", "check", recipes / "digits_gan.yml", folder=tmp_path)

    run(bare / "bin" / "artschool", "new", "recipe:digits_gan", tmp_path / "copied", folder=tmp_path)
    assert (tmp_path / "copied" / "digits_judge.py").read_bytes() == (recipes / "digits_judge.py").read_bytes()
    names = ("new", "own_network", tmp_path / "new")
    assert "train.yml: valid." in run(bare / "bin" / "artschool", *names, folder=tmp_path)

    (tmp_path / "plugin.py").write_text(PLUGIN)
    (tmp_path / "wrong.py").write_text(PLUGIN + WRONG)
    mypy = (sys.executable, "-m", "mypy", "--strict", "--config-file=", "--cache-dir", tmp_path / "cache")
    found = run(*mypy, "--python-executable", python, "plugin.py", "wrong.py", folder=tmp_path, code=1)
    assert 'expected "Logger"' in found and 'expected "Run"' in found
    assert "plugin.py:" not in found
