"""What is said of a line or a path: what it is, its value, where it came from and what reads it."""

from __future__ import annotations

from pathlib import Path

import pytest

from artschool.errors import ConfigError
from artschool.explain.explain import Explanation, explain
from artschool.explain.positions import path_at
from artschool.read.read import read_in_layers
from tests.config.bad_files import SOUND

pytestmark = pytest.mark.usefixtures("registries")
OWN = """\
base: gan.yml
name: own
networks:
  gen: {width: 48, blocks: "${networks.critic.width}"}
  critic: {type: patch_critic, width: "${env:WIDTH}"}
steps:
  gen:
    # not a word
    optimizer: {type: sgd, lr: 0.1}

    losses:
      pixel: {weight: 2.0, in: [sr,
              hq]}
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WIDTH", "24")
    Path("gan.yml").write_text(SOUND)
    Path("own.yml").write_text(OWN)
    return tmp_path


def explained(path: str, *overrides: str, file: str = "gan.yml") -> Explanation:
    return explain(read_in_layers(Path(file), overrides), path.split(".") if path else ())


def rows(path: str, *overrides: str, file: str = "gan.yml") -> list[str]:
    """Every row on one line, its label before it; one without goes on with the label above."""
    return [f"{label} {text}".strip() for label, text in explained(path, *overrides, file=file).rows]


def lookup(line: int, column: int | None = None, file: str = "gan.yml") -> str:
    tree = read_in_layers(Path(file)).layers[-1]
    return ".".join(path_at(tree, Path(file), line, column))


def changed(old: str, new: str) -> None:
    assert SOUND.count(old) == 1
    Path("gan.yml").write_text(SOUND.replace(old, new))


def test_an_option_of_a_component_tells_type_bounds_default_place_and_reader() -> None:
    told = explained("steps.gen.injectors.noisy.scale")
    assert told.title == "steps.gen.injectors.noisy.scale = 0.05"
    assert told.rows == [
        ("is", "`scale` of the injector add_noise"),
        (
            "",
            "Standard deviation of normal noise, or upper bound of uniform noise from 0, in units of x. A number, or "
            "the key of a tensor that broadcasts against x.",
        ),
        ("takes", "number or schedule or key, default 1.0"),
        ("from", "gan.yml:16:40"),
        ("read by", "steps.gen.injectors.noisy (add_noise)"),
    ]


def test_a_rate_names_what_changes_it() -> None:
    assert rows("steps.gen.optimizer.lr")[-2:] == [
        "read by the optimizer adamw of step gen",
        "changed by steps.gen.schedule (multi_step)",
    ]
    assert "takes number, 0 or more, default 0.001" in rows("steps.gen.optimizer.lr")


def test_an_option_of_what_has_a_gate_tells_when_it_counts() -> None:
    told = rows("steps.gen.losses.adversarial.weight")
    assert told[-1] == "read by steps.gen.losses.adversarial (generator_gan), after 600"


def test_a_default_that_is_not_written_is_told() -> None:
    told = explained("train.precision")
    assert told.title == "train.precision = fp32"
    assert told.rows == [
        ("is", "`precision` of train"),
        ("", "Precision of the computation. `bf16` and `fp16` use autocast; weights stay float32."),
        ("takes", "'fp32' or 'bf16' or 'fp16', default fp32"),
        ("from", "the default"),
        ("read by", "the training loop"),
    ]
    assert explained("log.pictures.most").title == "log.pictures.most = 8"
    assert explained("steps.critic.clip_grad_norm").title == "steps.critic.clip_grad_norm = null"


def test_a_key_tells_who_writes_and_reads_it_and_when() -> None:
    told = explained("sr")
    assert told.title == "sr, a key"
    assert told.rows == [
        ("written by", "steps.gen.injectors.upscale (gan.yml:17:7)"),
        ("read by", "steps.gen.losses.pixel as fake (gan.yml:19:7)"),
        ("read by", "steps.gen.losses.adversarial as fake (gan.yml:20:7), after 600"),
        ("read by", "steps.critic.losses.gan as fake (gan.yml:26:7), after 600"),
        ("drawn by", "log.pictures, every 200 iterations"),
        ("evaluate photos", ""),
        ("  written by", "evaluate.photos.injectors.upscale (gan.yml:34:7)"),
        ("  read by", "evaluate.photos.metrics.psnr as fake (gan.yml:36:7)"),
    ]


def test_a_value_that_is_a_key_is_told_as_that_key_is() -> None:
    told = rows("steps.gen.injectors.noisy.in")
    assert told[:5] == [
        "is `in` of the injector add_noise",
        "Key for x.",
        "takes key or list of keys",
        "from gan.yml:16:32",
        "key lq",
    ]
    assert told[5:7] == ["written by data.train", "read by steps.gen.injectors.noisy as x (gan.yml:16:7)"]


def test_a_parameter_that_in_fills_is_found_there() -> None:
    assert explained("steps.gen.losses.pixel.real").title == "steps.gen.losses.pixel.in.1 = hq"
    assert explained("steps.gen.injectors.noisy.x").title == "steps.gen.injectors.noisy.in = lq"


def test_a_network_tells_who_trains_averages_and_calls_it() -> None:
    assert rows("networks.gen")[2:] == [
        "from gan.yml:7:3",
        "trained by steps.gen (gan.yml:10:3)",
        "averaged with decay 0.98 as gen.ema",
        "called by steps.gen.injectors.upscale (gan.yml:17:7)",
        "called by evaluate.photos.injectors.upscale (gan.yml:34:7)",
    ]
    assert "trained by steps.critic (gan.yml:21:3), after 600" in rows("networks.critic")
    assert "network gen" in rows("steps.gen.trains") and "network gen" in rows("ema.networks")


def test_a_network_tells_when_its_average_moves() -> None:
    Path("gan.yml").write_text(SOUND.replace("networks: [gen]}", "networks: {slow: {of: gen, every: 1000}}}"))
    assert "averaged with decay 0.98 as gen.slow every 1,000 iterations" in rows("networks.gen")


def test_a_step_tells_its_networks_and_its_turn() -> None:
    assert rows("steps.critic")[2:] == [
        "from gan.yml:21:3",
        "trains networks.critic",
        "runs step 2 of 2 in each iteration, after 600",
    ]
    assert "calls networks.critic" in rows("steps.gen")


def test_a_component_tells_its_keys_and_where_they_come_from() -> None:
    assert rows("steps.gen.losses.adversarial")[3:] == [
        "reads sr as fake, written by steps.gen.injectors.upscale",
        "calls networks.critic",
        "runs after 600",
    ]
    assert "writes lq_noisy" in rows("steps.gen.injectors.noisy")


def test_data_and_evaluations_tell_what_they_give_and_take() -> None:
    assert rows("data.val")[-2:] == ["yields lq, hq, name", "read by evaluate.photos"]
    assert rows("evaluate.photos.data")[-3:] == ["data val", "yields lq, hq, name", "read by evaluate.photos"]
    assert rows("evaluate.photos")[-3:] == [
        "on data.val",
        "runs every 200 finished iterations, and at the end",
        "read by checkpoint.keep_best, which keeps the best 'photos/psnr'",
    ]


def test_an_item_of_a_list_is_told_by_the_name_of_the_list() -> None:
    assert rows("steps.gen.optimizer.betas.1")[0] == "is item 1 of `betas` of the optimizer adamw"
    assert rows("steps.gen.optimizer.betas.1")[2] == "takes number or schedule, 0 or more, less than 1"
    assert rows("log.pictures.keys.0")[0] == "is item 0 of `keys` of log.pictures"
    assert rows("ema.networks.0")[0] == "is item 0 of `networks` of ema"
    assert rows("steps.gen.losses.pixel.in.1")[0] == "is `real` of the loss l1"


def test_a_mapping_lists_its_options_written_ones_first() -> None:
    options = explained("steps.gen.losses.pixel").options
    assert options[:3] == [("type", "l1", "line 19"), ("in", "[sr, hq]", "line 19"), ("weight", "1.0", "line 19")]
    assert ("after", "0", "default") in options
    assert not {"fake", "real"} & {name for name, _, _ in options}  # `in` gives them.


def test_a_base_tells_what_was_replaced_and_what_was_merged() -> None:
    assert "from own.yml:4:9" in rows("networks.gen.width", file="own.yml")
    assert "replaces 24 at gan.yml:7:31" in rows("networks.gen.width", file="own.yml")
    assert "from gan.yml:7:21" in rows("networks.gen.scale", file="own.yml")
    assert "merged into gan.yml:7:3" in rows("networks.gen", file="own.yml")
    optimizer = rows("steps.gen.optimizer", file="own.yml")
    assert any(text.startswith("replaces {type: adamw, lr: 0.002") for text in optimizer)


def test_a_value_that_left_with_its_mapping_is_a_default_again() -> None:
    told = rows("steps.gen.optimizer.weight_decay", file="own.yml")
    assert told[-3:-1] == ["from the default", "not 0.0 at gan.yml:12:60: the mapping around it is replaced"]


def test_an_override_tells_what_it_replaced() -> None:
    told = rows("networks.gen.width", "networks.gen.width=8", file="own.yml")
    assert told[3:6] == [
        "from override 'networks.gen.width=8'",
        "replaces 48 at own.yml:4:9",
        "replaces 24 at gan.yml:7:31",
    ]
    assert ("width", "8", "override") in explained("networks.gen", "networks.gen.width=8").options


def test_a_reference_tells_how_it_is_written_and_what_it_names_without_the_environment() -> None:
    told = explained("networks.gen.blocks", file="own.yml")
    text = "\n".join(row for _, row in told.rows)
    assert "written '${networks.critic.width}'" in text
    assert 'where networks.critic.width is "${env:WIDTH}" at own.yml:5:32' in text
    assert explained("networks.critic.width", file="own.yml").title == 'networks.critic.width = "${env:WIDTH}"'
    assert "= 24" not in told.title


@pytest.mark.parametrize(
    ("line", "column", "path"),
    [
        (4, None, "networks.gen"),  # What begins first on it.
        (4, 4, "networks.gen"),
        (4, 1, "networks.gen"),
        (4, 9, "networks.gen.width"),
        (4, 18, "networks.gen.width"),
        (4, 22, "networks.gen.blocks"),
        (7, None, "steps.gen"),
        (12, 33, "steps.gen.losses.pixel.in.0"),
        (13, None, "steps.gen.losses.pixel.in.1"),
    ],
)
def test_a_line_leads_to_what_stands_there(line: int, column: int | None, path: str) -> None:
    assert lookup(line, column, "own.yml") == path


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (8, "own.yml: line 8 is a comment; line 9 is steps.gen.optimizer"),
        (10, "own.yml: line 10 is empty; line 11 is steps.gen.losses"),
        (14, "own.yml: line 14 does not exist; the file has 13 lines; line 13 is steps.gen.losses.pixel.in.1"),
        (0, "own.yml: line 0 does not exist; the file has 13 lines; line 1 is base"),
    ],
)
def test_a_line_without_anything_names_the_next(line: int, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        lookup(line, file="own.yml")
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("steps.gen.optimzer", "unknown name 'optimzer' in steps.gen\n    Available names: "),
        ("stepz", "unknown name 'stepz' in the file\n    Available names: "),
        (
            "checkpoint.keep_best.monitor",
            "unknown name 'monitor' in checkpoint.keep_best\n    Available names: metric, mode. Did you mean 'metric'?",
        ),
        ("data.test", "unknown name 'test' in data\n    Available names: train, val."),
        ("networks.gne", "unknown name 'gne' in networks\n    Available names: critic, gen. Did you mean 'gen'?"),
        ("steps.gen.schedule.power", "unknown name 'power' in steps.gen.schedule\n    Available names: "),
        (
            "train.accumulate_every.every",
            "is not set and has no default; it takes whole number or text such as `2 epochs`, 1 or more",
        ),
        ("steps.gen.losses.pixel.in.5", "unknown name '5' in steps.gen.losses.pixel.in"),
    ],
)
def test_a_path_that_leads_nowhere_names_what_is_near(path: str, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        explained(path)
    assert str(error.value).startswith(f"gan.yml: {path}: {message}")


def test_a_file_with_faults_is_explained_as_far_as_it_goes() -> None:
    changed("    trains: gen\n", "    train: gen\n")
    assert "read by steps.gen.losses.pixel as fake (gan.yml:19:7)" in rows("sr")
    told = rows("steps.gen.train")
    assert told[0] == "is an unknown option" and told[3] == "fault unknown option"
    assert told[4].endswith("Did you mean 'trains'?")
    changed("network: gen, in: lq_noisy", "network: genn, in: lq_noisy")
    assert "trained by no step: unknown network. Did you mean 'gen'?" in rows("steps.gen.injectors.upscale.network")
    changed("in: [sr, hq], weight", "in: [srr, hq], weight")
    assert "written by nothing. Did you mean 'sr'?" in rows("steps.gen.losses.pixel.fake")
    changed("batch_size: 16", "batch_size: many")
    assert "fault expected a whole number, got text 'many'" in rows("data.train.batch_size")
    assert "fault batch_size: expected a whole number, got text 'many'" in rows("data.train")


def test_a_reference_to_nothing_is_told_where_it_stands() -> None:
    changed("seed: 0", 'seed: "${log.evrey}"')
    assert rows("seed")[-2:] == ["fault ${log.evrey}: key 'evrey' does not exist", "Did you mean 'every'?"]
    assert not [text for text in rows("train.iterations") if "evrey" in text]


def test_groups_of_parameters_take_the_options_of_their_optimizer() -> None:
    changed("{type: adamw, lr: 4e-4}", "{type: adamw, lr: 4e-4, param_groups: [{match: critic.*, lr: 1e-5}]}")
    told = rows("steps.critic.optimizer.param_groups.0.lr")
    assert told[0] == "is `lr` of the optimizer adamw"
    assert explained("steps.critic.optimizer.param_groups.0.schedule_from").title.endswith("schedule_from = 0")


def test_every_path_of_a_file_can_be_explained() -> None:
    file = read_in_layers(Path("own.yml"))

    def paths(value: object, path: tuple[str, ...]) -> None:
        told = explain(file, path)
        assert not [text for label, text in told.rows if label == "is" and text == "an unknown option"], path
        if isinstance(value, dict | list):
            for name, child in value.items() if isinstance(value, dict) else enumerate(value):
                paths(child, (*path, str(name)))

    paths(file.tree.plain(), ())
