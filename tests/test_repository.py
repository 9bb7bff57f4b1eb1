"""The files around the package agree with each other: workflows, hooks, changelog, templates and guides."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
URL = "https://github.com/artschool-project/artschool"

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
FORMS = sorted(path for path in (ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml") if path.name != "config.yml")
FRAGMENTS = sorted((ROOT / "changelog.d").glob("*.md"))
GUIDES = [
    ROOT / name for name in ("CHANGELOG.md", "CODE_OF_CONDUCT.md", "CONTRIBUTING.md", "RELEASING.md", "SECURITY.md")
]
FRAGMENT_TYPES = {kind["directory"] for kind in PROJECT["tool"]["towncrier"]["type"]}
RELEASE_NOTES = ROOT / ".github" / "release_notes.py"


def load(path: Path) -> Any:
    """A YAML file. Its key `on` becomes True, as YAML 1.1 asks."""
    return yaml.safe_load(path.read_text())


def jobs(workflow: Path) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = load(workflow)["jobs"]
    return found


def recipe(target: str) -> list[str]:
    """The commands of a target in the Makefile, as they run."""
    match = re.search(rf"^{target}:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert match, f"the Makefile has no commands for {target}"
    return [line.lstrip("@\t").replace("$(BIN)", ".venv/bin") for line in match[1].splitlines()]


def has_target(target: str) -> bool:
    """Whether make has commands for a target. A folder of the same name is not enough."""
    command = ["make", "--dry-run", "--always-make", target]
    environment = os.environ | {"LC_ALL": "C"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    return done.returncode == 0 and "Nothing to be done" not in done.stdout


def run(*command: str | Path, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *command], cwd=cwd, capture_output=True, text=True, check=False)


# Workflows


def test_there_are_workflows_for_checks_documentation_changelog_and_releases() -> None:
    assert [path.stem for path in WORKFLOWS] == ["changelog", "ci", "docs", "release"]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_reads_only_unless_a_job_says_so_and_never_hangs(path: Path) -> None:
    workflow = load(path)
    assert workflow["permissions"] == {"contents": "read"}
    assert workflow["concurrency"]["group"]
    for name, job in jobs(path).items():
        assert "uses" in job or job["timeout-minutes"] <= 60, name


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_actions_are_pinned_by_major_version(path: Path) -> None:
    used = [step["uses"] for job in jobs(path).values() for step in job.get("steps", []) if "uses" in step]
    assert [name for name in used if not re.fullmatch(r"[\w-]+/[\w-]+@(v\d+|release/v\d+)", name)] == []


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_runs_only_files_and_targets_that_exist(path: Path) -> None:
    commands = [step["run"] for job in jobs(path).values() for step in job.get("steps", []) if "run" in step]
    files = [name for command in commands for name in re.findall(r"(?<![\w/])(\.(?:ci|github)/[\w./-]+)", command)]
    files += [job["uses"] for job in jobs(path).values() if "uses" in job]
    assert [name for name in files if not (ROOT / name).is_file()] == []
    targets = [name for command in commands for name in re.findall(r"\bmake ([\w-]+)", command)]
    assert [name for name in targets if not has_target(name)] == []


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_job_waits_for_jobs_of_its_workflow(path: Path) -> None:
    # `needs` is one name or a list of names.
    needs = [job["needs"] for job in jobs(path).values() if "needs" in job]
    names = {name for need in needs for name in ([need] if isinstance(need, str) else need)}
    assert names <= jobs(path).keys()


def test_ci_runs_every_supported_python_and_the_oldest_allowed_torch() -> None:
    ci = jobs(ROOT / ".github" / "workflows" / "ci.yml")
    pythons = ci["check"]["strategy"]["matrix"]["python"]
    assert f">={pythons[0]}" == PROJECT["project"]["requires-python"]
    assert pythons == [f"3.{minor}" for minor in range(11, 11 + len(pythons))]
    variants = {variant["name"]: variant for variant in ci["torch"]["strategy"]["matrix"]["include"]}
    [lowest] = [
        name.removeprefix("torch>=") for name in PROJECT["project"]["dependencies"] if name.startswith("torch>=")
    ]
    assert variants["oldest"]["torch"] == f"torch=={lowest}.*"
    assert variants["newest"]["torch"] == "torch"
    assert [variants["oldest"]["python"], variants["newest"]["python"]] == [pythons[0], pythons[-1]]


# Hooks


def test_the_hooks_before_a_commit_are_the_commands_of_make_lint() -> None:
    config = load(ROOT / ".pre-commit-config.yaml")
    hooks = [hook for repository in config["repos"] for hook in repository["hooks"]]
    stages = config["default_stages"]
    assert [hook["entry"] for hook in hooks if "pre-commit" in hook.get("stages", stages)] == recipe("lint")
    assert all(hook["always_run"] and not hook["pass_filenames"] for hook in hooks)


# Changelog


def test_the_types_of_fragments_are_the_ones_that_the_guide_names() -> None:
    guide = (ROOT / "CONTRIBUTING.md").read_text()
    assert {"added", "changed", "removed", "fixed"} == FRAGMENT_TYPES
    assert [kind for kind in FRAGMENT_TYPES if f"`{kind}`" not in guide] == []


def test_every_fragment_has_a_known_type_and_is_text() -> None:
    pattern = rf"(\d+|\+[\w-]+)\.({'|'.join(FRAGMENT_TYPES)})(\.\d+)?\.md"
    assert [path.name for path in FRAGMENTS if not re.fullmatch(pattern, path.name)] == []
    # towncrier makes each fragment an item of a list.
    assert [path.name for path in FRAGMENTS if path.read_text().lstrip().startswith(("-", "#"))] == []
    assert [path.name for path in FRAGMENTS if len(path.read_text().split()) > 70] == []


@pytest.fixture
def released(tmp_path: Path) -> Path:
    """A copy of the changelog into which towncrier has moved all fragments, and one more, as version 9.8.7."""
    pytest.importorskip("towncrier")
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    shutil.copy(ROOT / "CHANGELOG.md", tmp_path)
    shutil.copytree(ROOT / "changelog.d", tmp_path / "changelog.d")
    (tmp_path / "changelog.d" / "12.fixed.md").write_text("A mended bug.\n")
    done = run("-m", "towncrier", "build", "--yes", "--version", "9.8.7", "--date", "2030-01-02", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    return tmp_path


def test_towncrier_moves_every_fragment_into_the_changelog(released: Path) -> None:
    changelog = (released / "CHANGELOG.md").read_text()
    for path in FRAGMENTS:
        assert path.read_text().split("\n")[0] in changelog
    assert "\n## 9.8.7 (2030-01-02)\n" in changelog
    assert f"### Fixed\n\n- A mended bug. ([#12]({URL}/issues/12))\n" in changelog
    assert [path.name for path in (released / "changelog.d").iterdir()] == [".gitignore"]


def test_towncrier_drafts_the_changelog_without_a_version() -> None:
    pytest.importorskip("towncrier")
    done = run("-m", "towncrier", "build", "--draft")
    assert done.returncode == 0, done.stderr
    assert not FRAGMENTS or "### " in done.stdout


# Releases


def build(folder: Path, version: str) -> None:
    (folder / "dist").mkdir()
    for name in (f"artschool-{version}-py3-none-any.whl", f"artschool-{version}.tar.gz"):
        (folder / "dist" / name).touch()


def test_release_notes_are_the_section_of_the_tag(tmp_path: Path) -> None:
    build(tmp_path, "0.2.0")
    text = "# Changelog\n\n## 0.2.0 (2030-01-02)\n\n### Added\n\n- Two.\n\n## 0.1.0 (2029-01-02)\n\n- One.\n"
    (tmp_path / "CHANGELOG.md").write_text(text)
    done = run(RELEASE_NOTES, "v0.2.0", "dist", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "### Added\n\n- Two.\n")


def test_release_notes_read_what_towncrier_writes(released: Path) -> None:
    build(released, "9.8.7")
    done = run(RELEASE_NOTES, "v9.8.7", "dist", cwd=released)
    assert done.returncode == 0
    assert done.stdout.startswith("### ") and "- A mended bug." in done.stdout


def test_a_tag_that_is_not_the_version_stops_the_release(tmp_path: Path) -> None:
    build(tmp_path, "0.1.0")
    (tmp_path / "CHANGELOG.md").write_text("## 0.2.0 (2030-01-02)\n\n- Two.\n")
    done = run(RELEASE_NOTES, "v0.2.0", "dist", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr == (
        "dist: expected artschool-0.2.0-py3-none-any.whl, artschool-0.2.0.tar.gz for tag v0.2.0, "
        "got artschool-0.1.0-py3-none-any.whl, artschool-0.1.0.tar.gz\n"
    )


def test_a_release_that_the_changelog_does_not_describe_stops(tmp_path: Path) -> None:
    build(tmp_path, "0.2.0")
    (tmp_path / "CHANGELOG.md").write_text("## 0.2.0 (2030-01-02)\n\n## 0.1.0 (2029-01-02)\n\n- One.\n")
    done = run(RELEASE_NOTES, "v0.2.0", "dist", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr == "CHANGELOG.md has no section 0.2.0. Fix: towncrier build --version 0.2.0\n"


# Templates and guides


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.stem)
def test_an_issue_form_has_what_github_requires(path: Path) -> None:
    form = load(path)
    assert form["name"] and form["description"]
    fields = [field for field in form["body"] if field["type"] != "markdown"]
    names = [field["id"] for field in fields]
    assert len(names) == len(set(names)) > 0
    assert all(field["attributes"]["label"] for field in fields)
    assert any(field.get("validations", {}).get("required") for field in fields)


def test_the_citation_names_the_package() -> None:
    citation = load(ROOT / "CITATION.cff")
    assert citation["title"] == PROJECT["project"]["name"]
    assert citation["license"] == PROJECT["project"]["license"]
    assert citation["repository-code"] == URL


@pytest.mark.parametrize("path", GUIDES, ids=lambda path: path.stem)
def test_links_of_a_guide_lead_to_files_of_this_repository(path: Path) -> None:
    links = re.findall(r"\]\(([^)\s]+)\)", path.read_text())
    assert [link for link in links if "://" not in link and not (ROOT / link.partition("#")[0]).exists()] == []
    ours = [link for link in links if "github.com" in link]
    assert [link for link in ours if not link.startswith(f"{URL}/")] == []


@pytest.mark.parametrize("path", GUIDES, ids=lambda path: path.stem)
def test_make_has_every_target_that_a_guide_names(path: Path) -> None:
    assert [name for name in set(re.findall(r"`make ([\w-]+)`", path.read_text())) if not has_target(name)] == []
