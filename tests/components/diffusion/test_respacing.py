"""Choosing timesteps; the reference's are in goldens/."""

import pytest
import torch

from artschool.components.diffusion.respacing import respaced_betas, space_timesteps
from artschool.components.diffusion.schedules import betas_of
from artschool.errors import ConfigError


def test_a_number_is_one_section_with_both_ends() -> None:
    assert space_timesteps(10, 4) == space_timesteps(10, [4]) == [0, 3, 6, 9]
    assert space_timesteps(10, 1) == [0]


def test_sections_share_the_timesteps_the_first_ones_get_what_is_left() -> None:
    # 11 in sections of 4, 4, 3: 0..3, 4..7, 8..10.
    assert space_timesteps(11, [2, 1, 3]) == [0, 3, 4, 8, 9, 10]


def test_strides_are_summed_as_in_the_code_of_the_paper() -> None:
    """The 8th of 15 is at 7 * 99 / 14 = 49.5, which rounds to 50. Seven strides add up to 49.49999999999999, so 49."""
    assert space_timesteps(300, [10, 15, 20])[10:25] == [
        *[100, 107, 114, 121, 128, 135, 142, 149, 157, 164, 171, 178, 185, 192, 199]
    ]


def test_ddim_takes_a_whole_stride() -> None:
    assert space_timesteps(10, "ddim4") == [0, 3, 6, 9]
    assert space_timesteps(10, "ddim5") == [0, 2, 4, 6, 8]


def test_all_are_all() -> None:
    assert space_timesteps(7, 7) == [*range(7)]


@pytest.mark.parametrize(
    ("spacing", "said"),
    [
        (11, "steps: expected 1 to 10 timesteps in a section of 10, got 11"),
        ([3, 9], "steps: expected 1 to 5 timesteps in a section of 5, got 9"),
        (
            "ddim8",
            r"steps: no whole-number stride takes exactly 8 of 10 timesteps\. Fix: write 8 instead of ddim8",
        ),
        ("fast", "steps: expected a number, a list of numbers, or text like ddim10, got 'fast'"),
    ],
)
def test_what_cannot_be_taken_is_told(spacing: int | str | list[int], said: str) -> None:
    with pytest.raises(ConfigError, match=f"^{said}$"):
        space_timesteps(10, spacing)


def test_respaced_betas_keep_the_noise_levels() -> None:
    betas, chosen = betas_of("cosine", 100), [0, 30, 77, 99]
    kept = (1 - respaced_betas(betas, chosen)).cumprod(0)
    torch.testing.assert_close(kept, (1 - betas).cumprod(0)[chosen], rtol=1e-9, atol=0)
