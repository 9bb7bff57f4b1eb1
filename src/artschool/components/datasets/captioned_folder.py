"""Folders of images with a text for each."""

from __future__ import annotations

from pathlib import Path
from typing import TypedDict

from torch import Tensor

from artschool.components.datasets.captions import captions_of
from artschool.components.datasets.pictures import Augment, Crop, Pictures
from artschool.components.datasets.tokens import TextTokens
from artschool.components.datasets.views import Channels, View, image_in_values
from artschool.registry import datasets
from artschool.registry.signature import Count


class Captioned(TypedDict):
    """A sample: `image` (C, H, W), `text`, `tokens` (N,) of the text and of an empty one, and the file's `name`."""

    image: Tensor
    text: str
    tokens: Tensor
    no_tokens: Tensor
    name: str


@datasets.register(values=image_in_values)
class CaptionedFolder:
    """Images with captions: a table of them, or a .txt file of the same name beside each image.

    Args:
        path: Folder, .zip or .tar of images, or a list of them. Each is searched recursively for PNG, JPEG, WebP and
            BMP.
        captions: Name of a .jsonl or .csv file in `path` with a row for each image: `file_name`, the path of the image
            from there, and the caption. null: the first of `metadata.jsonl`, `metadata.csv`, `captions.jsonl` and
            `captions.csv` that is there, otherwise .txt files.
        column: Name of the column with the caption.
        tokenizer: `tokenizer.json` of a Hugging Face model, or its folder, which turns captions into `tokens` and an
            empty caption into `no_tokens`. null: both have no elements.
        tokens: Number of tokens of a caption, to which it is cut or padded.
        size: Side of a square patch in pixels. null: whole images, which need `batch_size: 1` unless all have one size.
        crop: Patch of an image: `middle` reduces the largest center square to `size`, `random` cuts a square of `size`
            at random. Ignored without `size`. Smaller images cannot be read.
        augment: Whether images are flipped and rotated by quarter turns at random; `flip` only flips left to right.
        channels: Number of channels. 3: red, green and blue. 1: gray, the mean over them.
        values: Values of black and white, such as `[-1, 1]`.
        exclude: Patterns of file names to leave out, such as `ref.*`. null: none.

    Raises:
        DataError: The folder does not exist or contains no image, or an image has no caption, or a caption no image.
    """

    def __init__(
        self,
        *,
        path: Path | list[Path],
        captions: str | None = None,
        column: str = "text",
        tokenizer: Path | None = None,
        tokens: Count = 77,
        size: Count | None = None,
        crop: Crop = "middle",
        augment: Augment = False,
        channels: Channels = 3,
        values: tuple[float, float] = (0.0, 1.0),
        exclude: list[str] | None = None,
    ) -> None:
        self._pictures = pictures = Pictures(path, "captioned_folder", exclude or [])
        self.remarks = pictures.remarks
        self._texts: list[str] = []
        for number, source in enumerate(pictures.sources):
            names = [name for owner, name in pictures.files if owner == number]
            self._texts += captions_of(source, names, captions, column, exclude or [])
        self._tokens = TextTokens(tokenizer, tokens, owner="captioned_folder")
        self._view = View(size, crop, augment, channels, values)

    def __len__(self) -> int:
        return len(self._texts)

    def __getitem__(self, index: int) -> Captioned:
        text = self._texts[index]
        return {
            "image": self._view.of(self._pictures, index),
            "text": text,
            "tokens": self._tokens(text),
            "no_tokens": self._tokens(""),
            "name": self._pictures.name(index),
        }
