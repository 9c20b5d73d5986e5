"""A trained image model measured: judged, compared with what it learnt from, drawn as a sheet.

Everyday concepts (shown most in training) and as many others as asked for are drawn with the same
seeds. Two judges name them; real icons of the same concepts, drawn in moves that nobody has seen,
are the yardstick for marks, for distances to the training set and for the spread over seeds.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import get_args

import numpy as np
import numpy.typing as npt
import torch

from loadsheet.adapt.concepts import COMMON_NAMES
from loadsheet.adapt.contact_sheet import PROMPTS, contact_sheet, sample_images
from loadsheet.adapt.frechet import frechet_distance
from loadsheet.adapt.gallery import (
    Gallery,
    GalleryConfig,
    Picture,
    draw,
    load_icon_sets,
    open_gallery,
)
from loadsheet.adapt.icon_classifier import ClassifierConfig, IconClassifier, default_loop
from loadsheet.adapt.image_scores import KnownPictures, neighbours, spread
from loadsheet.adapt.judges import JudgeKind, mark, mark_on_real, open_judge
from loadsheet.adapt.model_folder import SamplingConfig, read_model
from loadsheet.adapt.stage_progress import StageProgress
from loadsheet.adapt.text import TextEncoder
from loadsheet.adapt.train_image import autoencoder_facts
from loadsheet.errors import ConfigError
from loadsheet.track import JSON, Run, start_run

COMMAND = "train image-report"
SHEET_PROMPTS = (*PROMPTS[:22], "a flat emoji of heart", "a dolphin in the sea")
SHEET_SEEDS = 4
SHEET_NAME = "sheet.png"
_UNSEEN_SEED = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportConfig:
    """How much is drawn. `num_rare` concepts beyond the everyday ones; `num_seeds` 2 or more."""

    num_common: int | None = None
    num_rare: int = 148
    num_seeds: int = 2
    judge_steps: int = 1400
    seed: int = 0
    gallery: GalleryConfig = GalleryConfig()
    judge: ClassifierConfig = ClassifierConfig()
    sampling: SamplingConfig = SamplingConfig()

    def __post_init__(self) -> None:
        if self.num_seeds < 2:
            raise ConfigError(f"num_seeds is {self.num_seeds}; a spread needs 2 or more")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportTask:
    """What is measured and where. `work_folder` keeps the drawn gallery and the judges."""

    config: ReportConfig
    model_folder: Path
    encoder_folder: Path
    work_folder: Path
    art_folder: Path
    runs_folder: Path
    progress: StageProgress
    sinks: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Drawn:
    """A group of concepts, generated and real: uint8 [concepts, seeds, H, W, 3]."""

    names: tuple[str, ...]
    generated: npt.NDArray[np.uint8]
    real: npt.NDArray[np.uint8]

    @property
    def repeated_names(self) -> list[str]:
        """The name of each picture when seeds follow each other."""
        return [name for name in self.names for _ in range(self.generated.shape[1])]


def image_report(task: ReportTask) -> Path:
    """Measure, write the sheet, return the folder of the tracked run."""
    config = task.config
    with start_run(
        task.runs_folder,
        command=COMMAND,
        name=task.model_folder.name,
        config=asdict(config) | {"model": task.model_folder.name},
        sinks=task.sinks,
    ) as run:
        with task.progress.counting("draw the art") as on_drawn:
            folder = task.work_folder / "gallery"
            gallery = open_gallery(task.art_folder, folder, config.gallery, on_drawn=on_drawn)
        judges = trained_judges(task, run, gallery)
        groups = {
            kind: drawn(task, pictures, kind) for kind, pictures in asked(gallery, config).items()
        }
        for kind, group in groups.items():
            run.summary(scores(kind, group, judges))
        run.summary(memory(groups, gallery, judges["drawings"]))
        autoencoder, _ = read_model(task.model_folder)
        run.summary(autoencoder_facts(gallery, autoencoder))
        run.artifact(drawn_sheet(task))
    return run.folder


def trained_judges(task: ReportTask, run: Run, gallery: Gallery) -> dict[str, IconClassifier]:
    """Both judges, and their marks on real icons they have not seen."""
    loop = default_loop(task.config.judge_steps, task.config.seed)
    judges = {}
    for kind in get_args(JudgeKind):
        with task.progress.training(f"judge of {kind}") as observer:
            folder = task.work_folder / "judges" / kind
            judges[kind] = open_judge(kind, gallery, folder, task.config.judge, loop, observer)
        found = mark_on_real(kind, judges[kind], gallery)
        run.summary(_flat(f"judge.{kind}.held_out", asdict(found)))
    return judges


def asked(gallery: Gallery, config: ReportConfig) -> dict[str, list[Picture]]:
    """The plain pictures of the concepts to draw: `common` and `rare`, the latter by lot."""
    plain = [p for p in gallery.pictures if p.style.is_default and p.variant == 0]
    common = [p for p in plain if p.concept.name in COMMON_NAMES]
    rare = [p for p in plain if p.concept.name not in COMMON_NAMES]
    order = np.random.default_rng(config.seed).permutation(len(rare))
    chosen = {
        "common": common[: config.num_common],
        "rare": [rare[i] for i in sorted(order[: config.num_rare])],
    }
    return {kind: pictures for kind, pictures in chosen.items() if pictures}


def drawn(task: ReportTask, pictures: list[Picture], kind: str) -> Drawn:
    """Each concept by its everyday name from the model, and from the artist."""
    config = task.config
    models, encoder = read_model(task.model_folder), TextEncoder(task.encoder_folder)
    prompts = [p.concept.simple_name for p in pictures]
    bar = task.progress.counting(f"draw {kind} concepts")
    with bar as on_drawn, torch.autocast("cpu", torch.bfloat16):
        generated = sample_images(
            models, encoder, prompts, config.num_seeds, config.sampling, on_drawn
        )
    return Drawn(
        tuple(p.concept.name for p in pictures),
        generated,
        unseen_real(pictures, task.art_folder, config),
    )


def unseen_real(
    pictures: list[Picture], art_folder: Path, config: ReportConfig
) -> npt.NDArray[np.uint8]:
    """The same drawings moved in ways that neither model nor judge was shown."""
    icons, moves = load_icon_sets(art_folder), replace(config.gallery, seed=_UNSEEN_SEED)
    return np.stack(
        [
            [
                draw(
                    replace(p, image_idx=p.image_idx * config.num_seeds + k, variant=1),
                    icons[p.style.key],
                    moves,
                )
                for k in range(config.num_seeds)
            ]
            for p in pictures
        ]
    )


def scores(kind: str, group: Drawn, judges: dict[str, IconClassifier]) -> dict[str, JSON]:
    """Marks of generated and real pictures, their Frechet distance and spread, per judge."""
    found: dict[str, JSON] = {}
    for judge_kind, judge in judges.items():
        label_idx = [judge.labels.index(name) for name in group.repeated_names]
        generated, real = (x.reshape(-1, *x.shape[2:]) for x in (group.generated, group.real))
        features, real_features = judge.features(generated), judge.features(real)
        shape = (len(group.names), -1, features.shape[1])
        place = f"{judge_kind}.{kind}"
        found |= _flat(f"{place}.generated", asdict(mark(judge, generated, label_idx)))
        found |= _flat(f"{place}.real", asdict(mark(judge, real, label_idx)))
        found |= {
            f"{place}.frechet": frechet_distance(features, real_features),
            f"{place}.generated.spread": spread(features.reshape(shape)),
            f"{place}.real.spread": spread(real_features.reshape(shape)),
        }
    return found


def memory(groups: dict[str, Drawn], gallery: Gallery, judge: IconClassifier) -> dict[str, JSON]:
    """Distances to the pictures that the denoiser learnt from (styles with a share of samples).

    `another_concept` is the distance of real pictures to those of concepts that were not asked
    for: how far apart different drawings lie.
    """
    learnt = [p for p in gallery.pictures if p.style.share > 0]
    names = [p.concept.name for p in learnt]
    known = KnownPictures.of(gallery.images[[p.image_idx for p in learnt]], names, judge)
    found: dict[str, JSON] = {}
    for kind, group in groups.items():
        for what, images in (("generated", group.generated), ("real", group.real)):
            flat = images.reshape(-1, *images.shape[2:])
            near = neighbours(flat, group.repeated_names, known, judge)
            found |= _flat(f"neighbours.{kind}.{what}", asdict(near))
    asked_names = {name for group in groups.values() for name in group.names}
    others = known.without(asked_names)
    if len(others.names) > 0:
        group = next(iter(groups.values()))
        flat = group.real.reshape(-1, *group.real.shape[2:])
        near = neighbours(flat, group.repeated_names, others, judge)
        found |= _flat("neighbours.another_concept", asdict(near))
    return found


def drawn_sheet(task: ReportTask) -> Path:
    """The prompts that a person looks at, four seeds each."""
    models, encoder = read_model(task.model_folder), TextEncoder(task.encoder_folder)
    with task.progress.counting("draw the sheet") as on_drawn:
        images = sample_images(
            models, encoder, SHEET_PROMPTS, SHEET_SEEDS, task.config.sampling, on_drawn
        )
    path = task.work_folder / SHEET_NAME
    contact_sheet(SHEET_PROMPTS, images).save(path)
    return path


def _flat(prefix: str, values: Mapping[str, JSON]) -> dict[str, JSON]:
    return {f"{prefix}.{name}": value for name, value in values.items()}
