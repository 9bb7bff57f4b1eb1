"""The Gaussian diffusion: how noise comes in, and what a network's prediction says about the way back."""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from artschool.errors import ConfigError

Prediction = Literal["epsilon", "x0", "previous", "v"]
Variance = Literal["fixed_small", "fixed_large", "learned", "learned_range"]


class Reverse(NamedTuple):
    """`p(x_{t-1} | x_t)`, a Gaussian, and the clean data it stands on; all of the shape of x_t."""

    mean: Tensor
    variance: Tensor
    log_variance: Tensor
    x0: Tensor


class GaussianProcess(nn.Module):
    """`q(x_t | x_0) = N(sqrt(alpha_bar_t) x_0, 1 - alpha_bar_t)`, `alpha_bar_t` the product of `1 - beta_s`, s <= t.

    Its tables are float64 and are cast to the type of the data where they are used. `t` is always (B,), whole numbers
    in 0..T-1.

    Source: Ho et al. 2020, arXiv:2006.11239, section 2; Nichol and Dhariwal 2021, arXiv:2102.09672, section 2.

    Args:
        betas: (T,), float64.
        prediction: What the network gives: the noise (`epsilon`), the clean data (`x0`), the mean of the timestep
            before (`previous`), or `v = sqrt(alpha_bar) epsilon - sqrt(1 - alpha_bar) x0` (Salimans and Ho 2022,
            arXiv:2202.00512, appendix D).
        variance: That of the way back: of the posterior (`fixed_small`), `beta` (`fixed_large`), its logarithm as the
            second half of the network's channels (`learned`), or there the place between the two in logarithms, -1 to
            1 (`learned_range`).
        timesteps: (T,), the timesteps as the network knows them; `range(T)` where it is not told.
        time_scale: What they are multiplied by for the network; 1 leaves them whole numbers.
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
        # The posterior of the first timestep has no variance; whoever needs its logarithm takes the next one's.
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
        """A table at the timesteps of a batch, in the type of x and (B, 1, ...) to be multiplied with it."""
        values: Tensor = getattr(self, table)
        return values[t].to(x.dtype).view(-1, *[1] * (x.ndim - 1))

    def network_time(self, t: Tensor) -> Tensor:
        """(B,): the timesteps as the network takes them."""
        times: Tensor = self.timesteps[t]  # type: ignore[index]  # a buffer, which nn.Module does not know
        return times if self._time_scale == 1 else times.float() * self._time_scale

    def noised(self, x0: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        """A sample of `q(x_t | x_0)`, noise being standard normal."""
        return self.at("signal", t, x0) * x0 + self.at("noise", t, x0) * noise

    def posterior_mean(self, x0: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
        """The mean of `q(x_{t-1} | x_t, x_0)`."""
        return self.at("posterior_x0", t, x0) * x0 + self.at("posterior_x_t", t, x_t) * x_t

    def target(self, x0: Tensor, noise: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
        """What a perfect network predicts."""
        if self.prediction == "epsilon":
            return noise
        if self.prediction == "x0":
            return x0
        if self.prediction == "previous":
            return self.posterior_mean(x0, x_t, t)
        return self.at("signal", t, x0) * noise - self.at("noise", t, x0) * x0

    def predicted_x0(self, output: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
        """The clean data that a prediction stands for; `output` without what it says of the variance."""
        if self.prediction == "epsilon":
            return self.at("inverse_signal", t, x_t) * x_t - self.at("inverse_noise", t, x_t) * output
        if self.prediction == "x0":
            return output
        if self.prediction == "previous":
            return (output - self.at("posterior_x_t", t, x_t) * x_t) / self.at("posterior_x0", t, x_t)
        return self.at("signal", t, x_t) * x_t - self.at("noise", t, x_t) * output

    def epsilon(self, x0: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
        """The noise between clean and noised data."""
        return (self.at("inverse_signal", t, x_t) * x_t - x0) / self.at("inverse_noise", t, x_t)

    def split(self, output: Tensor, x_t: Tensor) -> tuple[Tensor, Tensor | None]:
        """What a network gives, as its prediction and what it says of the variance, if that is learned.

        Raises:
            ConfigError: It has the wrong number of channels.
        """
        channels = x_t.shape[1]
        learned = self.variance.startswith("learned")
        if output.shape[1] != channels * (1 + learned):
            twice = f"{2 * channels}, prediction and variance" if learned else f"{channels}, as it gets"
            raise ConfigError(f"the network gives {output.shape[1]} channels; with variance {self.variance}: {twice}")
        return (output[:, :channels], output[:, channels:]) if learned else (output, None)

    def reverse(self, output: Tensor, x_t: Tensor, t: Tensor, *, clip: bool = False) -> Reverse:
        """`p(x_{t-1} | x_t)` out of what a network gives.

        Args:
            output: (B, C or 2 C, ...).
            x_t: (B, C, ...).
            t: (B,).
            clip: Whether the predicted clean data is clipped to -1..1; a predicted mean stays as it is.
        """
        output, said = self.split(output, x_t)
        x0 = self.predicted_x0(output, x_t, t)
        x0 = x0.clamp(-1, 1) if clip else x0
        mean = output if self.prediction == "previous" else self.posterior_mean(x0, x_t, t)
        if said is None:
            kind = "posterior" if self.variance == "fixed_small" else "large"
            variance, log_variance = self.at(f"{kind}_variance", t, x_t), self.at(f"{kind}_log_variance", t, x_t)
            return Reverse(mean, variance.expand_as(mean), log_variance.expand_as(mean), x0)
        if self.variance == "learned_range":
            share = (said + 1) / 2
            low, high = self.at("posterior_log_variance", t, x_t), self.at("log_beta", t, x_t)
            said = share * high + (1 - share) * low
        return Reverse(mean, said.exp(), said, x0)
