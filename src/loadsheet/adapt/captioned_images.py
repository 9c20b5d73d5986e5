"""Pictures with captions from a folder: the data of `loadsheet adapt image --data FOLDER`.

Two layouts that other trainers use as well:

    FOLDER/metadata.jsonl    {"file_name": "a.png", "text": "a red fox"} per line
    FOLDER/a.png + a.txt     one caption per line

Each picture is cut to the largest centred rectangle of the model's proportions and resized.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from loadsheet.adapt.captions import Caption
from loadsheet.errors import AssetError, ConfigError

METADATA = "metadata.jsonl"
SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp"})
MAX_PIXELS = 64_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptionedImages:
    """`images`: uint8 [N, H, W, 3]; `captions[i]` are the phrasings for image i, weighted."""

    images: npt.NDArray[np.uint8]
    captions: tuple[tuple[Caption, ...], ...]

    def __post_init__(self) -> None:
        if len(self.images) != len(self.captions):
            raise ConfigError(f"{len(self.images)} images but captions for {len(self.captions)}")

    def __len__(self) -> int:
        return len(self.images)


def read_captioned_images(folder: Path, size: tuple[int, int]) -> CaptionedImages:
    """Every captioned picture of the folder at `size` (width, height), in file-name order."""
    if not folder.is_dir():
        raise AssetError(f"there is no folder {folder}; --data names a folder of pictures")
    metadata = folder / METADATA
    rows = _from_metadata(metadata) if metadata.exists() else _from_text_files(folder)
    if not rows:
        raise ConfigError(
            f"{folder} has no captioned pictures; give {METADATA} with file_name and text, or a "
            ".txt beside each picture"
        )
    images = np.stack([_read_image(path, size) for path, _ in rows])
    return CaptionedImages(images=images, captions=tuple(captions for _, captions in rows))


def _from_metadata(metadata: Path) -> list[tuple[Path, tuple[Caption, ...]]]:
    rows = []
    for number, line in enumerate(metadata.read_text("utf-8").splitlines(), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            name, text = row["file_name"], row["text"]
        except (ValueError, KeyError, TypeError):
            raise ConfigError(
                f"{metadata}:{number} needs a JSON object with file_name and text"
            ) from None
        path = (metadata.parent / str(name)).resolve()
        if not path.is_relative_to(metadata.parent.resolve()):
            raise ConfigError(f"{metadata}:{number} names {name}, which lies outside the folder")
        rows.append((path, _captions(metadata, [str(text)])))
    return sorted(rows, key=lambda row: row[0])


def _from_text_files(folder: Path) -> list[tuple[Path, tuple[Caption, ...]]]:
    rows = []
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in SUFFIXES:
            continue
        text = path.with_suffix(".txt")
        if not text.exists():
            raise ConfigError(f"{path.name} has no caption; write {text.name} beside it")
        rows.append((path, _captions(text, text.read_text("utf-8").splitlines())))
    return rows


def _captions(source: Path, lines: list[str]) -> tuple[Caption, ...]:
    texts = dict.fromkeys(line.strip() for line in lines if line.strip())
    if not texts:
        raise ConfigError(f"{source} holds an empty caption")
    return tuple(Caption(text, 1.0) for text in texts)


def _read_image(path: Path, size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    try:
        with Image.open(path) as image:
            if image.width * image.height > MAX_PIXELS:
                raise ConfigError(
                    f"{path} has {image.width}x{image.height} pixels; the limit is {MAX_PIXELS}"
                )
            upright = ImageOps.exif_transpose(image).convert("RGB")
    except (FileNotFoundError, UnidentifiedImageError, OSError) as error:
        raise AssetError(f"{path} cannot be read as a picture: {error}") from error
    fitted = ImageOps.fit(upright, size, Image.Resampling.LANCZOS)
    return np.asarray(fitted, dtype=np.uint8)
