"""A plugin's components are judged by the roles that they declare, as built-in ones are."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from torch import nn

from artschool.lint import Subject, lint
from artschool.read.read import check_file
from tests.lint.judged import GAN, changed, judged
from tests.lint.test_rules import CASES, Case

pytestmark = pytest.mark.usefixtures("registries")
PLUGIN = Path(__file__).with_name("plugin_parts.py")
REPLACED = {
    "discriminator_gan": "own_discriminator",
    "generator_gan": "own_generator",
    "gradient_penalty": "own_grad_penalty",
    "cross_entropy": "own_entropies",
    "l1": "my",
    "vgg": "own",
    "gaussian_diffusion": "own_denoising_task",
    "diffusion_sample": "own_draw_samples",
    "psnr": "psn2",
    "adam": "moma",
    "adamw": "momaw",
}
"""By built-in component the plugin's, whose name is as long, so that columns stay."""
LOGITS = """\
from torch import Tensor

from artschool.registry import ComponentRole, losses

@losses.register(roles={ComponentRole.GENERATOR_LOSS, ComponentRole.TAKES_LOGITS}, mean_over="samples")
def fool(fake_logits: Tensor) -> Tensor:
    return -fake_logits.mean()

@losses.register(roles={ComponentRole.CRITIC_LOSS, ComponentRole.TAKES_LOGITS}, mean_over="samples")
def tell(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    return fake_logits.mean() - real_logits.mean()
"""
ON_LOGITS = changed(
    GAN,
    ("name: gan\n", "name: gan\nplugins: [logits.py]\n"),
    (
        "      upscale: {type: forward, network: gen, in: lq, out: sr}\n    losses",
        "      upscale: {type: forward, network: gen, in: lq, out: sr}\n"
        "      judge: {type: forward, network: critic, in: sr, out: judged, after: 600}\n    losses",
    ),
    (
        "{type: generator_gan, kind: wgan, network: critic, fake: sr, weight: 0.005, after: 600}",
        "{type: fool, in: judged, weight: 0.005, after: 600}",
    ),
    (
        "    losses:\n"
        "      gan: {type: discriminator_gan, kind: wgan, network: critic, fake: sr, real: hq, weight: 1.0}",
        "    injectors:\n"
        "      hq: {type: forward, network: critic, in: hq, out: hq_logits}\n"
        "      sr: {type: forward, network: critic, in: sr, out: sr_logits}\n"
        "    losses:\n      gan: {type: tell, in: [hq_logits, sr_logits], weight: 1.0}",
    ),
)
EARLY = ("steps.gen.losses.adversarial.after=499", "steps.gen.injectors.judge.after=499")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("logits.py").write_text(LOGITS)
    shutil.copy(PLUGIN, tmp_path / "own.py")
    return tmp_path


def with_plugin(text: str) -> str:
    """A text with the plugin's components, where a hint does not recommend the built-in."""
    return re.sub(rf"(?<!`)\b({'|'.join(REPLACED)})\b", lambda match: REPLACED[match[0]], text)


def names(*overrides: str, text: str = ON_LOGITS) -> list[tuple[str, str]]:
    return [(finding.rule, finding.fault.path) for finding in judged(text, *overrides)]


@pytest.mark.parametrize("case", CASES, ids=[f"{case.rule}-{'fires' if case.said else 'is-silent'}" for case in CASES])
def test_a_plugin_is_judged_like_built_in_components(case: Case) -> None:
    text = with_plugin(changed(case.text, *case.changes)).replace("[parts.py]", "[parts.py, own.py]")
    text += "" if "plugins:" in text else "plugins: [own.py]\n"
    said = with_plugin("\n".join(case.said))
    assert "\n".join(map(str, judged(text))) == said


def test_a_loss_on_logits_is_about_the_critic_that_made_them() -> None:
    assert names() == []
    assert names(*EARLY) == [("generator-before-critic", "steps.gen.losses.adversarial.after")]
    assert names("steps.critic.optimizer.lr=1e-5") == [("unbalanced-rates", "steps.gen.optimizer.lr")]
    assert names("steps.gen.trains=[gen, critic]") == [("both-sides-in-one-step", "steps.gen.losses.adversarial")]


def test_a_critic_that_ends_in_a_sigmoid_is_found_at_the_logits_that_a_loss_reads() -> None:
    Path("file.yml").write_text(ON_LOGITS)
    critic = nn.Sequential(nn.Conv2d(3, 1, 3), nn.Sigmoid())
    findings = lint(Subject(check_file(Path("file.yml")), {"critic": critic}))
    assert [(finding.rule, finding.fault.path) for finding in findings] == [
        ("squashed-logits", "steps.gen.losses.adversarial.fake_logits"),
        ("squashed-logits", "steps.critic.losses.gan.real_logits"),
        ("squashed-logits", "steps.critic.losses.gan.fake_logits"),
    ]


@pytest.mark.parametrize(("role", "is_judged"), [("", True), ("role: generator, ", True), ("role: critic, ", False)])
def test_a_loss_with_both_roles_is_judged_by_its_option_role_or_by_what_its_step_trains(
    role: str, is_judged: bool
) -> None:
    both = LOGITS.replace("{ComponentRole.GENERATOR_LOSS,", "{ComponentRole.CRITIC_LOSS, ComponentRole.GENERATOR_LOSS,")
    option = ", *, role: str) -> Tensor:\n    return -" if role else ") -> Tensor:\n    return -"
    Path("logits.py").write_text(both.replace(") -> Tensor:\n    return -", option))
    found = names(*EARLY, text=ON_LOGITS.replace("{type: fool, ", f"{{type: fool, {role}"))
    assert found == [("generator-before-critic", "steps.gen.losses.adversarial.after")] * is_judged


def test_a_component_without_roles_is_not_judged() -> None:
    Path("logits.py").write_text(re.sub(r"roles=\{.*\}, ", "", LOGITS))
    assert names(*EARLY, "steps.gen.trains=[gen, critic]") == []
