"""Files to draw: one with many losses, one with long names, one with names that mean something to HTML."""

from __future__ import annotations

from pathlib import Path

from artschool.config.compose import finish
from artschool.config.source import read_text
from artschool.graph.model import Dataflow, dataflow
from artschool.read.check import check_tree
from artschool.read.read import check_file

RECIPES = Path(__file__).parents[2] / "recipes"
LARGE = """
name: four_networks
data:
  train: {type: photo_patches, size: 64, scale: 2, batch_size: 4}
networks:
  gen: {type: edsr, scale: 2, width: 16, blocks: 2}
  fine: {type: patch_critic, width: 8}
  coarse: {type: patch_critic, width: 8, layers: 2}
  features: {type: vgg, depth: 16, layers: [conv1_1], frozen: true}
steps:
  gen:
    trains: gen
    optimizer: {type: adamw, lr: 1e-4}
    injectors:
      upscale: {type: forward, network: gen, in: lq, out: sr}
      smaller: {type: interpolate, in: sr, scale_factor: 0.5, mode: bicubic, out: small}
      smaller_hq: {type: interpolate, in: hq, scale_factor: 0.5, mode: bicubic, out: small_hq}
      seen: {type: forward, network: features, in: sr, out: seen}
      wanted: {type: forward, network: features, grad: false, in: hq, out: wanted}
    losses:
      l1: {type: l1, in: [sr, hq], weight: 1.0}
      l2: {type: l2, in: [sr, hq], weight: 0.1, before: 100}
      small_l1: {type: l1, in: [small, small_hq], weight: 0.5}
      small_l2: {type: l2, in: [small, lq], weight: 0.5}
      variation: {type: total_variation, in: sr, weight: 1e-4}
      features_l1: {type: l1, in: [seen, wanted], weight: 0.2}
      features_l2: {type: l2, in: [seen, wanted], weight: 0.2, every: 2}
      fine: {type: generator_gan, kind: hinge, network: fine, fake: sr, weight: 0.01, after: 200}
      coarse: {type: generator_gan, kind: hinge, network: coarse, fake: small, weight: 0.01, after: 200}
  fine:
    trains: fine
    after: 150
    optimizer: {type: adamw, lr: 1e-4}
    losses:
      gan: {type: discriminator_gan, kind: hinge, network: fine, fake: sr, real: hq, weight: 1.0}
      r1: {type: gradient_penalty, kind: r1, network: fine, real: hq, weight: 1.0, every: 16}
      again: {type: discriminator_gan, kind: lsgan, network: fine, fake: sr, real: hq, weight: 0.1}
  coarse:
    trains: coarse
    after: 150
    optimizer: {type: adamw, lr: 1e-4}
    losses:
      gan: {type: discriminator_gan, kind: hinge, network: coarse, fake: small, real: lq, weight: 1.0}
      r1: {type: gradient_penalty, kind: r1, network: coarse, real: lq, weight: 1.0, every: 16}
      again: {type: discriminator_gan, kind: lsgan, network: coarse, fake: small, real: small_hq, weight: 0.1}
train: {iterations: 300}
ema: {networks: [gen]}
"""
LONG = """
name: a_file_whose_name_alone_is_wider_than_all_of_what_the_lanes_below_it_have_to_show
data: {train: {type: photo_patches, size: 64, scale: 2, batch_size: 4}}
networks:
  generator_for_the_first_half_of_the_upper_band: {type: edsr, scale: 2, width: 16, blocks: 2}
  discriminator_of_everything_at_the_coarse_scale: {type: patch_critic, width: 8}
steps:
  generator_and_its_many_friends_in_the_first_phase:
    trains: generator_for_the_first_half_of_the_upper_band
    optimizer: {type: adamw, lr: 1e-4}
    injectors:
      enlargement_of_the_low_quality_pictures:
        {type: forward, network: generator_for_the_first_half_of_the_upper_band, in: lq,
         out: the_pictures_in_their_enlarged_form}
    losses:
      pixels_of_both:
        {type: l1, in: [the_pictures_in_their_enlarged_form, hq], weight: 0.123, after: 120, before: 220, every: 3}
      adversarialwithoutanyseparatorinitsname:
        {type: generator_gan, kind: hinge, network: discriminator_of_everything_at_the_coarse_scale,
         fake: the_pictures_in_their_enlarged_form, weight: 0.01, after: 200}
  critic:
    trains: discriminator_of_everything_at_the_coarse_scale
    optimizer: {type: adamw, lr: 1e-4}
    losses:
      MMMMWWWWMMMMWWWWMMMMWWWW:
        {type: discriminator_gan, kind: hinge, network: discriminator_of_everything_at_the_coarse_scale,
         fake: the_pictures_in_their_enlarged_form, real: hq, weight: 1.0}
train: {iterations: 300}
"""
HOSTILE = """
name: hostile
data: {train: {type: sklearn_digits, batch_size: 4}}
networks: {net: {type: mlp, in_features: 8, out_features: 8}}
steps:
  main:
    trains: net
    optimizer: {type: sgd, lr: 0.1}
    injectors: {call: {type: forward, network: net, in: image, out: '</script><script>alert(1)</script>"&$title'}}
    losses: {mean: {type: mean, in: '</script><script>alert(1)</script>"&$title', weight: 1.0}}
train: {iterations: 3}
"""


def of_text(text: str) -> Dataflow:
    """The dataflow of a file that is given as text."""
    return dataflow(check_tree(finish(read_text(text, "drawn.yml"), Path("drawn.yml"))))


def of_recipe(name: str, **shapes: str) -> Dataflow:
    """The dataflow of a recipe."""
    return dataflow(check_file(RECIPES / f"{name}.yml"), shapes)


def of_name(name: str) -> Dataflow:
    """The dataflow of a recipe, or of one of the files above."""
    texts = {"four_networks": LARGE, "long_names": LONG}
    return of_text(texts[name]) if name in texts else of_recipe(name)
