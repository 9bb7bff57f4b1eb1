"""Constants, noise, latents and moves by chance."""

import torch
from torch import Tensor

from artschool.components.injectors.mix_and_label import mix_and_label
from artschool.components.injectors.noise import noise, style_mixing_noise
from artschool.components.injectors.random_length import random_length
from artschool.components.injectors.random_shift import random_shift
from artschool.components.injectors.roll import roll
from artschool.steps.state import State
from tests.components.examples.example import Example


def constant(options: str, **values: Tensor) -> Tensor:
    state = State(values, writer="test")
    Example("injectors", f"{{type: constant, {options}, out: z}}", lambda batch: {}).bind(torch.device("cpu"))(state)
    result: Tensor = state.values["z"]
    return result


def test_a_constant_is_a_scalar_or_like_something() -> None:
    assert constant("value: 2.5") == torch.tensor(2.5)
    like = constant("in: x, value: 1", x=torch.zeros(2, 3, dtype=torch.int64))
    assert like.dtype is torch.int64 and like.tolist() == [[1, 1, 1]] * 2


def test_noise_has_a_shape_for_each_sample() -> None:
    torch.manual_seed(0)
    normal = noise(torch.zeros(500, 7), shape=[4, 5])
    assert normal.shape == (500, 4, 5)
    assert abs(normal.mean()) < 0.05 and abs(normal.std() - 1) < 0.05
    uniform = noise(torch.zeros(500, 7), shape=[20], kind="uniform")
    assert uniform.min() >= 0 and uniform.max() < 1 and abs(uniform.mean() - 0.5) < 0.02


def test_as_many_samples_as_asked_get_two_styles() -> None:
    torch.manual_seed(0)
    first, second = style_mixing_noise(torch.zeros(1000, 1), latent_dim=3, mix_probability=0.7)
    assert first.shape == second.shape == (1000, 3)
    mixed = (first != second).all(1)
    assert torch.equal(mixed, (first != second).any(1))
    assert abs(mixed.float().mean() - 0.7) < 0.05
    for probability in (0.0, 1.0):
        first, second = style_mixing_noise(torch.zeros(50, 1), latent_dim=3, mix_probability=probability)
        assert bool((first == second).all(1).all()) is (probability == 0)


def test_wrapped_shifts_are_rolls_of_each_sample() -> None:
    torch.manual_seed(0)
    x = torch.arange(12.0).view(1, 1, 3, 4).repeat(400, 1, 1, 1)
    possible = {tuple(x[0, 0].roll((y, z), (0, 1)).flatten().tolist()) for y in (-1, 0, 1) for z in (-1, 0, 1)}
    assert {tuple(one.flatten().tolist()) for one in random_shift(x, max_shift=1)} == possible


def test_zeros_enter_where_samples_are_padded_however_far_they_move() -> None:
    torch.manual_seed(0)
    x = torch.tensor([1.0, 2.0, 3.0]).view(1, 1, 3).repeat(400, 1, 1)
    found = {tuple(one[0].tolist()) for one in random_shift(x, max_shift=4, fill="zero")}
    assert found == {(1, 2, 3), (0, 1, 2), (0, 0, 1), (0, 0, 0), (2, 3, 0), (3, 0, 0)}


def test_a_rolled_batch_pairs_each_sample_with_the_one_before() -> None:
    assert roll(torch.arange(4)).tolist() == [3, 0, 1, 2]
    assert roll(torch.arange(6).view(2, 3), shift=-1, dim=1).tolist() == [[1, 2, 0], [4, 5, 3]]


def test_labels_say_which_input_a_sample_is_from() -> None:
    torch.manual_seed(0)
    inputs = [torch.arange(300) + 1000 * place for place in range(3)]
    mixed, labels = mix_and_label(inputs)
    assert torch.equal(mixed, torch.arange(300) + 1000 * labels)
    assert (labels.bincount(minlength=3) > 70).all()
    assert mix_and_label([torch.zeros(2, 3, 4, 5, 6)] * 2)[0].shape == (2, 3, 4, 5, 6)


def test_lengths_and_places_are_random_and_whole_windows() -> None:
    torch.manual_seed(0)
    x = torch.arange(5.0).view(1, 1, 5)
    found = {tuple(random_length(x, min_length=3).flatten().tolist()) for _ in range(200)}
    assert found == {tuple(range(a, a + n)) for n in (3, 4, 5) for a in range(6 - n)}
    assert random_length(x, min_length=5) is x and random_length(x, min_length=9) is x
