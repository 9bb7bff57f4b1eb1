"""Gaussian diffusion: the forward process that adds noise, and the reverse process from a network's prediction."""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from artschool.errors import ConfigError

Prediction = Literal["epsilon", "x0", "previous", "v"]
Variance = Literal["fixed_small", "fixed_large", "learned", "learned_range"]
NETWORK_TIMESTEPS = 1000
"""The number of timesteps that a network sees if its times are rescaled."""


def time_scale(num_timesteps: int, *, rescale: bool) -> float:
    """The factor of the timesteps that a network receives."""
    return NETWORK_TIMESTEPS / num_timesteps if rescale else 1.0


class Reverse(NamedTuple):
    """The Gaussian `p(x_{t-1} | x_t)`, and the clean data that it is based on; all of the shape of x_t."""

    mean: Tensor
    variance: Tensor
    log_variance: Tensor
    x0: Tensor


class GaussianProcess(nn.Module):
    """`q(x_t | x_0) = N(sqrt(alpha_bar_t) x_0, 1 - alpha_bar_t)`, `alpha_bar_t` the product of `1 - beta_s`, s <= t.

    Its tables are float64 and are cast to the type of the data on use. `t` is always (B,), whole numbers in 0..T-1.

    Source: Ho et al. 2020, arXiv:2006.11239, section 2; Nichol and Dhariwal 2021, arXiv:2102.09672, section 2.

    Args:
        betas: (T,), float64.
        prediction: Target of the network: the noise (`epsilon`), the clean data (`x0`), the mean of the previous
            timestep (`previous`), or `v = sqrt(alpha_bar) epsilon - sqrt(1 - alpha_bar) x0` (Salimans and Ho 2022,
            arXiv:2202.00512, appendix D).
        variance: Variance of the reverse process: that of the posterior (`fixed_small`), `beta` (`fixed_large`), its
            logarithm as the second half of the network's channels (`learned`), or there the position between the two in
            logarithms, -1 to 1 (`learned_range`).
        timesteps: (T,), the timesteps that the network receives; None: `range(T)`.
        time_scale: Factor of the timesteps that the network receives; 1 keeps them whole numbers.
    """

    def __init__(
        self,
        betas: Tensor,
        *,
        prediction: Prediction = "epsilon",
        variance: Variance = "fixed_small",
        timesteps: Tensor | None = None,
        time_scale: float = 1.0,
    ) -> None:
        super().__init__()
        self.prediction = prediction
        self.variance = variance
        self.num_timesteps = len(betas)
        self._time_scale = time_scale
        alpha_bar = (1 - betas).cumprod(0)
        before = torch.cat([torch.ones_like(alpha_bar[:1]), alpha_bar[:-1]])
        small = betas * (1 - before) / (1 - alpha_bar)
        # The posterior variance of the first timestep is 0; its logarithm is replaced by that of the next timestep.
        positive = torch.cat([small[1:2], small[1:]]) if len(betas) > 1 else betas
        large = torch.cat([positive[:1], betas[1:]])
        tables = {
            "timesteps": torch.arange(len(betas)) if timesteps is None else timesteps,
            "alpha_bar": alpha_bar,
            "alpha_bar_before": before,
            "signal": alpha_bar.sqrt(),
            "noise": (1 - alpha_bar).sqrt(),
            "inverse_signal": (1 / alpha_bar).sqrt(),
            "inverse_noise": (1 / alpha_bar - 1).sqrt(),
            "posterior_x0": betas * before.sqrt() / (1 - alpha_bar),
            "posterior_x_t": (1 - before) * (1 - betas).sqrt() / (1 - alpha_bar),
            "posterior_variance": small,
            "posterior_log_variance": positive.log(),
            "large_variance": large,
            "large_log_variance": large.log(),
            "log_beta": betas.log(),
        }
        for name, table in tables.items():
            self.register_buffer(name, table, persistent=False)

    def at(self, table: str, t: Tensor, x: Tensor) -> Tensor:
        """Return a table at the timesteps of a batch, in the type of x, as (B, 1, ...) to multiply with x."""
        values: Tensor = getattr(self, table)
        return values[t].to(x.dtype).view(-1, *[1] * (x.ndim - 1))

    def network_time(self, t: Tensor) -> Tensor:
        """Return the timesteps that the network receives, (B,)."""
        times: Tensor = self.timesteps[t]  # type: ignore[index]  # a buffer, which nn.Module does not know
        return times if self._time_scale == 1 else times.float() * self._time_scale

    def noised(self, x0: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        """Return a sample of `q(x_t | x_0)` for standard normal noise."""
        return self.at("signal", t, x0) * x0 + self.at("noise", t, x0) * noise

    def posterior_mean(self, x0: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
        """Return the mean of `q(x_{t-1} | x_t, x_0)`."""
        return self.at("posterior_x0", t, x0) * x0 + self.at("posterior_x_t", t, x_t) * x_t

    def target(self, x0: Tensor, noise: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
        """Return the prediction of a perfect network."""
        if self.prediction == "epsilon":
            return noise
        if self.prediction == "x0":
            return x0
        if self.prediction == "previous":
            return self.posterior_mean(x0, x_t, t)
        return self.at("signal", t, x0) * noise - self.at("noise", t, x0) * x0

    def predicted_x0(self, output: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
        """Return the clean data that a prediction implies; `output` excludes the channels of the variance."""
        if self.prediction == "epsilon":
            return self.at("inverse_signal", t, x_t) * x_t - self.at("inverse_noise", t, x_t) * output
        if self.prediction == "x0":
            return output
        if self.prediction == "previous":
            return (output - self.at("posterior_x_t", t, x_t) * x_t) / self.at("posterior_x0", t, x_t)
        return self.at("signal", t, x_t) * x_t - self.at("noise", t, x_t) * output

    def epsilon(self, x0: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
        """Return the noise between clean and noised data."""
        return (self.at("inverse_signal", t, x_t) * x_t - x0) / self.at("inverse_noise", t, x_t)

    def split(self, output: Tensor, x_t: Tensor) -> tuple[Tensor, Tensor | None]:
        """Split the output of a network into its prediction and, if it is learned, its output for the variance.

        Raises:
            ConfigError: The output has the wrong number of channels.
        """
        channels = x_t.shape[1]
        learned = self.variance.startswith("learned")
        if output.shape[1] != channels * (1 + learned):
            meaning = "prediction and variance" if learned else "as many as in its input"
            raise ConfigError(
                f"network: expected {channels * (1 + learned)} output channels with variance {self.variance} "
                f"({meaning}), got {output.shape[1]}"
            )
        return (output[:, :channels], output[:, channels:]) if learned else (output, None)

    def reverse(self, output: Tensor, x_t: Tensor, t: Tensor, *, clip: bool = False) -> Reverse:
        """Return `p(x_{t-1} | x_t)` for the output of a network.

        Args:
            output: (B, C or 2 C, ...).
            x_t: (B, C, ...).
            t: (B,).
            clip: Whether the predicted clean data is clipped to -1..1; a predicted mean is not.
        """
        output, log_variance = self.split(output, x_t)
        x0 = self.predicted_x0(output, x_t, t)
        x0 = x0.clamp(-1, 1) if clip else x0
        mean = output if self.prediction == "previous" else self.posterior_mean(x0, x_t, t)
        if log_variance is None:
            kind = "posterior" if self.variance == "fixed_small" else "large"
            variance, log_variance = self.at(f"{kind}_variance", t, x_t), self.at(f"{kind}_log_variance", t, x_t)
            return Reverse(mean, variance.expand_as(mean), log_variance.expand_as(mean), x0)
        if self.variance == "learned_range":
            fraction = (log_variance + 1) / 2
            low, high = self.at("posterior_log_variance", t, x_t), self.at("log_beta", t, x_t)
            log_variance = fraction * high + (1 - fraction) * low
        return Reverse(mean, log_variance.exp(), log_variance, x0)
