"""A tracked run of image adaptation: a style of ours, judged; or the user's pictures, measured."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from loadsheet.adapt.adapter_folder import AdapterCard, base_sha256
from loadsheet.adapt.captioned_images import CaptionedImages
from loadsheet.adapt.encoded_images import EncodedImages, encode_images
from loadsheet.adapt.image_adaptation import (
    Adapted,
    Base,
    ImageAdaptationConfig,
    Lesson,
    adapt_image,
    reopen,
)
from loadsheet.adapt.observer import Observers, RunLog, TrainingObserver
from loadsheet.adapt.picture_batch import PictureRequest, draw_pictures
from loadsheet.adapt.style_art import (
    BASE_STYLE,
    FLAT_STYLE,
    PACKAGES,
    TARGET_STYLES,
    StyleArt,
    find_style,
    open_style_art,
)
from loadsheet.adapt.style_judges import StyleJudgeConfig, StyleJudges, open_style_judges
from loadsheet.adapt.style_lesson import base_probe, style_lesson
from loadsheet.adapt.style_scores import Painter, ScoreConfig, score_style
from loadsheet.adapt.style_sheet import Strip, style_sheet
from loadsheet.engine.image.pipeline import ImagePipeline
from loadsheet.errors import ConfigError
from loadsheet.track import JSON, Run, start_run

COMMAND = "adapt image"
NUM_SHOWN = 6
SHEET_SEED = 7
HELD_OUT_EVERY = 10
MIN_PICTURES = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageRunPlan:
    """What the runs of one call share. `cache_folder` keeps drawn art, latents and judges."""

    base: Base
    art_folder: Path
    cache_folder: Path
    runs_folder: Path
    sinks: Sequence[str] = ()
    scores: ScoreConfig = ScoreConfig()
    judges: StyleJudgeConfig = StyleJudgeConfig()
    observer: TrainingObserver | None = None


def style_record(
    plan: ImageRunPlan, style_key: str, config: ImageAdaptationConfig
) -> dict[str, JSON]:
    """What is stored with a run and tells whether it has been done before."""
    base_sha = base_sha256(plan.base.folder)
    facts: dict[str, JSON] = {"base": plan.base.name, "base_unet_sha256": base_sha}
    return {**facts, "style": style_key, **config.record()}


def run_style(
    plan: ImageRunPlan, style_key: str, config: ImageAdaptationConfig, out_folder: Path | None
) -> dict[str, JSON]:
    """Adapt to one of our styles and judge the result; the stored summary."""
    style = find_style(style_key)
    record = style_record(plan, style_key, config)
    run = start_run(
        plan.runs_folder,
        command=COMMAND,
        name=f"{style_key}-{config.method.name}",
        config=record,
        sinks=plan.sinks,
    )
    with run:
        pipeline = plan.base.open()  # encoded as it is served: in the device's own format
        side = pipeline.sizes[0][0]
        arts = _arts(plan, side)
        lesson = Lesson(
            train=style_lesson(pipeline, plan.base.folder, arts[style_key], plan.cache_folder),
            probe=base_probe(pipeline, plan.base.folder, arts[BASE_STYLE.key], plan.cache_folder),
            card=_style_card(plan, style_key, config),
            out_folder=run.folder / "model" if out_folder is None else out_folder,
            checkpoint_folder=None,
        )
        adapted = _adapt(plan, lesson, config, run)
        judges = open_style_judges(tuple(arts.values()), plan.cache_folder / "judges", plan.judges)
        painter = Painter(*reopen(plan.base, adapted.folder))
        scores = score_style(painter, arts[style.key], judges, plan.scores)
        summary: dict[str, JSON] = {
            "style": style_key,
            **config.record(),
            **adapted.record(),
            **asdict(scores),
            **_marks(judges),
        }
        run.summary(summary)
        run.artifact(_style_strip(run, painter, arts[style_key]))
    return {"run": run.id, "folder": str(adapted.folder), **summary}


def run_pictures(
    plan: ImageRunPlan,
    name: str,
    pictures: CaptionedImages,
    config: ImageAdaptationConfig,
    out_folder: Path,
) -> dict[str, JSON]:
    """Adapt to the user's pictures. One in ten, if there are ten, is kept to measure the loss on;
    the same loss on what was learnt stands beside it."""
    if len(pictures) < MIN_PICTURES:
        raise ConfigError(f"{len(pictures)} picture; give {MIN_PICTURES} or more")
    record: dict[str, JSON] = {"base": plan.base.name, "data": name, **config.record()}
    run_name = f"pictures-{config.method.name}"
    with start_run(
        plan.runs_folder, command=COMMAND, name=run_name, config=record, sinks=plan.sinks
    ) as run:
        pipeline = plan.base.open("fp32")
        kept = [i for i in range(len(pictures)) if i % HELD_OUT_EVERY != HELD_OUT_EVERY - 1]
        probe = [i for i in range(len(pictures)) if i not in set(kept)] or kept
        lesson = Lesson(
            train=_encoded(pipeline, pictures, kept),
            probe=_encoded(pipeline, pictures, probe),
            card=_pictures_card(plan, name, config, len(kept)),
            out_folder=out_folder,
        )
        adapted = _adapt(plan, lesson, config, run)
        drawn = adapted.record()
        summary: dict[str, JSON] = {
            "style": name,
            **config.record(),
            **{key: drawn[key] for key in drawn if not key.startswith("base_")},
            "num_pictures": len(kept),
            "num_held_out": len(pictures) - len(kept),
            "held_out_loss_before": adapted.base_loss_before,
            "held_out_loss_after": adapted.base_loss_after,
        }
        run.summary(summary)
        run.artifact(_pictures_strip(run, plan, adapted, pictures))
    return {"run": run.id, "folder": str(adapted.folder), **summary}


def _adapt(plan: ImageRunPlan, lesson: Lesson, config: ImageAdaptationConfig, run: Run) -> Adapted:
    log = RunLog(run)
    observer = log if plan.observer is None else Observers(log, plan.observer)
    return adapt_image(plan.base, lesson, config, observer)


def _arts(plan: ImageRunPlan, side: int) -> dict[str, StyleArt]:
    """Both new styles and the two looks of the base, which judges must tell apart."""
    styles = (*TARGET_STYLES.values(), BASE_STYLE, FLAT_STYLE)
    folder = plan.cache_folder / "drawn"
    return {one.key: open_style_art(one, plan.art_folder, folder, side) for one in styles}


def _encoded(
    pipeline: ImagePipeline, pictures: CaptionedImages, rows: Sequence[int]
) -> EncodedImages:
    captions = [pictures.captions[row] for row in rows]
    return encode_images(pipeline, pictures.images[list(rows)], captions)


def _marks(judges: StyleJudges) -> dict[str, JSON]:
    return {
        "judge_style_accuracy": judges.style_accuracy,
        "judge_style_recall": dict(judges.style_recall),
        "judge_concept_accuracy": judges.concept_accuracy,
    }


def _style_strip(run: Run, painter: Painter, art: StyleArt) -> Path:
    """Common concepts, seen ones first, then held-out ones: generated above real."""
    rows = []
    for held_out in (False, True):
        own = art.rows(held_out=held_out)
        own.sort(key=lambda row: (-art.pictures[row].concept.weight, row))
        rows += own[:NUM_SHOWN]
    concepts = [art.pictures[row].concept for row in rows]
    num_steps = painter.pipeline.default_num_steps
    images = painter.paint(concepts, num_steps, [SHEET_SEED] * len(rows))
    strips = (Strip("generated", images), Strip("real", np.asarray(art.images[rows])))
    path = _sheet_path(run)
    style_sheet([concept.simple_name for concept in concepts], strips).save(path)
    return path


def _sheet_path(run: Run) -> Path:
    folder = run.folder / "artifacts"
    folder.mkdir(exist_ok=True)
    return folder / "sheet.png"


def _pictures_strip(
    run: Run, plan: ImageRunPlan, adapted: Adapted, pictures: CaptionedImages
) -> Path:
    pipeline, adapter = reopen(plan.base, adapted.folder)
    count = min(NUM_SHOWN, len(pictures))
    texts = [own[0].text for own in pictures.captions[:count]]
    request = PictureRequest(
        texts=tuple(texts),
        seeds=(SHEET_SEED,) * count,
        num_steps=pipeline.default_num_steps,
        guidance_scale=pipeline.default_guidance_scale,
    )
    images = draw_pictures(pipeline, request, adapter)
    strips = (Strip("generated", images), Strip("given", pictures.images[:count]))
    path = _sheet_path(run)
    style_sheet(texts, strips).save(path)
    return path


def _style_card(plan: ImageRunPlan, style_key: str, config: ImageAdaptationConfig) -> AdapterCard:
    package = PACKAGES[style_key]
    source = f"{package.name} {package.version} (npm, {package.spdx}), nine of ten concepts"
    return _card(plan, f"{plan.base.name}: {style_key}", config, package.spdx.lower(), (source,))


def _pictures_card(
    plan: ImageRunPlan, name: str, config: ImageAdaptationConfig, count: int
) -> AdapterCard:
    return _card(plan, f"{plan.base.name}: {name}", config, "other", (f"{count} pictures, {name}",))


def _card(
    plan: ImageRunPlan,
    title: str,
    config: ImageAdaptationConfig,
    licence: str,
    sources: tuple[str, ...],
) -> AdapterCard:
    return AdapterCard(
        title=title,
        base_name=plan.base.name,
        method=config.method.name,
        num_steps=config.num_steps,
        batch_size=config.batch_size,
        learning_rate=config.rate,
        seed=config.seed,
        licence=licence,
        sources=sources,
    )
