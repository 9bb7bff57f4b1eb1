"""A checkout in the layout of DL-Art-School, written to a folder, and a file that trains with it."""

from __future__ import annotations

from pathlib import Path

FILES = {
    "maybe_bnb.py": """
import torch
class nn: pass
def populate(adam=True, adamw=True, linear=True, embedding="NORMAL"):
    nn.Linear, nn.bits = torch.nn.Linear, (adam, adamw, linear, embedding)
""",
    "utils/util.py": """
loaded_options = None
def factor():
    return loaded_options["factor_of_code"] or 1
""",
    "trainer/networks.py": """
def register_model(function):
    return function
""",
    "trainer/inject.py": """
import torch
class Injector(torch.nn.Module):
    def __init__(self, opt, env):
        super().__init__()
        self.opt, self.env = opt, env
        if "in" in opt.keys():
            self.input = opt["in"]
        if "out" in opt.keys():
            self.output = opt["out"]
""",
    "trainer/injectors/__init__.py": "",
    "trainer/injectors/own_injectors.py": """
from trainer.inject import Injector
class BlendClipsInjector(Injector):
    def __init__(self, opt, env):
        super().__init__(opt, env)
        self.other = opt["other_key"]
        self.share = opt["share"] if "share" in opt.keys() else 0.5
        self.difference = opt.get("difference_key")
    def forward(self, state):
        assert self.env["training"] and self.env["opt"]["name"]
        blended = self.share * state[self.input] + (1 - self.share) * state[self.other]
        return {self.output: blended, self.difference: state[self.other] - state[self.input]}
class CallTwiceInjector(Injector):
    def forward(self, state):
        network = self.env["generators"][self.opt["generator"]]
        return {self.output: network(network(state[self.input]))}
class SneakyInjector(Injector):
    def forward(self, state):
        name = "".join(["cl", "ip"])
        return {self.output: state[self.input] + state[name]}
class NoneOfThem:
    pass
class PlainThing(NoneOfThem):
    pass
""",
    "models/audio/wide.py": """
import maybe_bnb as mbnb
from torch import nn
from trainer.networks import register_model
from utils.util import factor
class Wide(nn.Module):
    def __init__(self, width=4):
        super().__init__()
        self.net = nn.Sequential(mbnb.nn.Linear(8, width), mbnb.nn.Linear(width, 8))
    def forward(self, x):
        return factor() * self.net(x)
@register_model
def register_wide_net(opt_net, opt):
    assert opt["never"] is None and opt_net["kwargs"]["never"] is None
    return Wide(**opt_net["kwargs"])
@register_model
def register_RRDBNet(opt_net, opt, other_nets):
    return Wide(opt_net["nf"])
""",
    "models/broken.py": """
import a_library_that_nobody_has
@register_model
def register_broken_net(opt_net, opt):
    pass
""",
    "models/side_effect.py": "raise SystemError('imported')",
    "data/__init__.py": """
def create_dataset(dataset_opt, return_collate=False):
    mode, collate = dataset_opt['mode'], None
    if mode == 'noise_clips':
        from data.noise import NoiseClips as D
    elif mode == 'joined_clips':
        from data.noise import NoiseClips as D
        collate = print
    elif mode == 'lost_clips':
        from data.lost import LostClips as D
    else:
        raise NotImplementedError(mode)
    return (D(dataset_opt), collate) if return_collate else D(dataset_opt)
""",
    "data/noise.py": """
import torch
class NoiseClips(torch.utils.data.Dataset):
    def __init__(self, opt):
        self.size = opt['clip_size']
        assert opt['never'] is None and opt['phase'] == 'train'
    def __len__(self):
        return 16
    def __getitem__(self, index):
        clip = torch.randn(self.size, generator=torch.Generator().manual_seed(index))
        return {'clip': clip, 'target': clip.flip(0)}
""",
}
OLD = """
name: mine
model: extensibletrainer
plugins: ["dlas:codes"]
datasets:
  train: {mode: noise_clips, batch_size: 4, n_workers: 0, clip_size: 8}
networks:
  gen: {type: generator, which_model_G: wide_net, kwargs: {width: 6}}
steps:
  gen:
    training: gen
    optimizer_params: {lr: 1e-2}
    injectors:
      blend: {type: blend_clips, in: clip, out: blended, other_key: target, difference_key: wanted, share: 0.25}
      call: {type: call_twice, in: blended, out: fake, generator: gen}
    losses:
      pix: {type: pix, weight: 1, criterion: l1, real: wanted, fake: fake}
train: {niter: 2, ema_enabled: false, mega_batch_factor: 1, default_lr_scheme: MultiStepLR, gen_lr_steps: [100]}
logger: {print_freq: 1, save_checkpoint_freq: 1}
"""


def write_checkout(folder: Path) -> None:
    """Write the checkout to `folder/codes`, and the file to `folder/old.yml`."""
    for name, text in FILES.items():
        file = folder / "codes" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    (folder / "old.yml").write_text(OLD)
