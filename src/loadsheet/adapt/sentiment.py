"""Human-rated sentiment of four domains: the ground truth of Hutto and Gilbert (ICWSM 2014).

Ten people rated each text from -4 to 4. Movie reviews, tweets, editorials of a newspaper and
product reviews; 23,703 texts. They travel inside the source package of vaderSentiment 3.3.2 (MIT),
an archive within an archive, pinned here by SHA-256. Nothing of the package is installed or run.

    sdist.tar.gz ─► additional_resources/hutto_ICWSM_2014.tar.gz ─► *_GroundTruth.txt
                                                                     id TAB mean rating TAB text
"""

import hashlib
import io
import logging
import os
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from loadsheet.adapt.labelled_text import LabelledSet, LabelledText
from loadsheet.cache_root import cache_root
from loadsheet.errors import AssetError, ConfigError

logger = logging.getLogger(__name__)

REQUIREMENT = "vaderSentiment==3.3.2"
FILE_NAME = "vaderSentiment-3.3.2.tar.gz"
SHA256 = "5d7c06e027fc8b99238edb0d53d970cf97066ef97654009890b83703849632f9"
_INNER = "vaderSentiment-3.3.2/additional_resources/hutto_ICWSM_2014.tar.gz"
_FILES = {
    "amazon": "amazonReviewSnippets",
    "movie": "movieReviewSnippets",
    "nyt": "nytEditorialSnippets",
    "tweets": "tweets",
}
DOMAINS = tuple(_FILES)
_TWO = ("negative", "positive")
_THREE = ("negative", "neutral", "positive")


@dataclass(frozen=True, slots=True, kw_only=True)
class SentimentConfig:
    """Mean ratings beyond ± `threshold` are positive or negative; what lies between is neutral
    with 3 classes and left out with 2."""

    threshold: float = 0.5
    num_classes: int = 2

    def __post_init__(self) -> None:
        if not 0 <= self.threshold < 4:
            raise ConfigError(f"--threshold is {self.threshold}; give 0 or more, and less than 4")
        if self.num_classes not in (2, 3):
            raise ConfigError(f"--classes is {self.num_classes}; give 2 or 3")


def default_sentiment_folder() -> Path:
    """`text` in the cache folder of loadsheet."""
    return cache_root() / "text"


def fetch_sentiment(folder: Path) -> Path:
    """Path of the verified source package in `folder`, downloaded when it is not there yet."""
    archive = folder / FILE_NAME
    if not archive.exists():
        folder.mkdir(parents=True, exist_ok=True)
        logger.info("fetch requirement=%s folder=%s", REQUIREMENT, folder)
        _download(folder)
    found = hashlib.sha256(archive.read_bytes()).hexdigest()
    if found != SHA256:
        raise AssetError(
            f"{archive} has sha256 {found}, expected {SHA256}; delete the file and fetch it again"
        )
    return archive


def read_sentiment(archive: Path, config: SentimentConfig) -> LabelledSet:
    """Every rated text of the four domains that `config` gives a label."""
    labels = _TWO if config.num_classes == 2 else _THREE
    with tarfile.open(archive, "r:gz") as outer:
        content = io.BytesIO(_member(outer, _INNER))
    with tarfile.open(fileobj=content, mode="r:gz") as inner:
        rows = [
            row
            for domain, stem in _FILES.items()
            for row in _rows(inner, domain, stem, labels, config.threshold)
        ]
    return LabelledSet(rows=tuple(rows), labels=labels)


def _rows(
    inner: tarfile.TarFile, domain: str, stem: str, labels: tuple[str, ...], threshold: float
) -> Iterator[LabelledText]:
    text = _member(inner, f"hutto_ICWSM_2014/{stem}_GroundTruth.txt").decode("latin-1")
    for line in text.splitlines():
        if not line.strip():
            continue
        row_id, rating, snippet = line.split("\t")
        label = _label(float(rating), labels, threshold)
        if label is not None:
            yield LabelledText(
                text=snippet.strip(),
                label=label,
                domain=domain,
                group=f"{domain}:{_source(row_id)}",
            )


def _label(rating: float, labels: tuple[str, ...], threshold: float) -> int | None:
    if rating > threshold:
        return len(labels) - 1
    if rating < -threshold:
        return 0
    return 1 if len(labels) == len(_THREE) else None


def _source(row_id: str) -> str:
    """Article of an editorial, page of product reviews: `12_7` is sentence 7 of 12. Movie
    sentences and tweets have plain numbers."""
    return row_id.split("_")[0]


def _member(tar: tarfile.TarFile, name: str) -> bytes:
    try:
        file = tar.extractfile(name)
    except KeyError:
        file = None
    if file is None:
        raise AssetError(f"the archive of {REQUIREMENT} holds no file {name}")
    return file.read()


def _download(folder: Path) -> None:
    """pip builds metadata of a source package to read its name; the build tools come with it."""
    arguments = ["download", "--no-deps", "--no-binary=:all:", REQUIREMENT, "-d", str(folder)]
    command = [sys.executable, "-m", "pip", *arguments, "--disable-pip-version-check"]
    done = subprocess.run(
        command, capture_output=True, text=True, env=os.environ | {"PIP_NO_INPUT": "1"}
    )
    if done.returncode != 0 or not (folder / FILE_NAME).exists():
        raise AssetError(
            f"cannot fetch {REQUIREMENT}: {done.stderr.strip()[-600:] or done.returncode}\n"
            f"where a package index is, run `python -m pip {' '.join(arguments)}`, or put "
            f"{FILE_NAME} into {folder}"
        )
