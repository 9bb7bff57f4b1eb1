"""What a run of photo_sr.yml came to: PSNR against bicubic, and a picture to judge by.

python recipes/photo_sr_report.py [runs/photo_sr]
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw
from torch import Tensor

import artschool
from artschool.components.datasets.photos import Photos

CONFIG = Path(__file__).with_name("photo_sr.yml")
CRITIC_JOINS = 300
CROPS = {"china.jpg": (100, 190), "flower.jpg": (150, 250)}
"""Top and left of what is shown of each photograph, in pixels."""
SIDE, ZOOM, HEADER = 128, 2, 24


def main() -> None:
    """Print the figures and draw the picture."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "runs/photo_sr")
    records = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    evaluations = {record["iteration"] + 1: record for record in records if "photos/psnr" in record}
    last = max(evaluations)
    bicubic = evaluations[last]["photos/bicubic_psnr"]
    print("PSNR in dB, mean of two photographs that were not trained on")
    print(f"  bicubic                     {bicubic:.2f}")
    for name, iteration in (("pixel loss alone", CRITIC_JOINS), ("with the critic", last)):
        value = evaluations[iteration]["photos/psnr"]
        print(f"  {name:<16} ({iteration:>4})     {value:.2f}   {value - bicubic:+.2f}")
    print(f"picture: {draw(folder)}")


@torch.no_grad()
def draw(folder: Path) -> Path:
    """A row for each photograph: low, bicubic, ours, true."""
    run = artschool.load(CONFIG, run_dir=folder)
    generator = run.emas["gen"].module
    rows = []
    for pair in (Photos()[index] for index in range(2)):
        low = pair["lq"][None]
        images = {
            "low": F.interpolate(low, scale_factor=2, mode="nearest"),
            "bicubic": F.interpolate(low, scale_factor=2, mode="bicubic"),
            "ours": generator(low),
            "true": pair["hq"][None],
        }
        rows.append({name: crop(image, *CROPS[pair["name"]]) for name, image in images.items()})
    sheet = Image.new("RGB", (len(rows[0]) * SIDE * ZOOM, HEADER + len(rows) * SIDE * ZOOM), "white")
    text = ImageDraw.Draw(sheet)
    for column, name in enumerate(rows[0]):
        text.text((column * SIDE * ZOOM + 6, 4), name, fill="black", font_size=15)
        for row, images in enumerate(rows):
            sheet.paste(images[name], (column * SIDE * ZOOM, HEADER + row * SIDE * ZOOM))
    path = folder / "comparison.png"
    sheet.save(path)
    return path


def crop(image: Tensor, top: int, left: int) -> Image.Image:
    """A square of (1, 3, H, W) in 0..1, enlarged pixel by pixel so that nothing is smoothed."""
    part = image[0, :, top : top + SIDE, left : left + SIDE].clamp(0, 1).mul(255).round().byte()
    picture = Image.fromarray(part.permute(1, 2, 0).numpy())
    return picture.resize((SIDE * ZOOM, SIDE * ZOOM), Image.Resampling.NEAREST)


if __name__ == "__main__":
    main()
