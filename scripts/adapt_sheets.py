"""One picture of the sheets of several `adapt image` runs: a row per method, real ones last.

python scripts/adapt_sheets.py examples/scenario-2-adapt/runs STYLE docs/guide/img/NAME.png
"""

import sys
from pathlib import Path

from PIL import Image, ImageDraw

from loadsheet.adapt.style_sheet import HEADER_HEIGHT, LABEL_WIDTH
from loadsheet.track import StoredRun, read_runs

SIDE = 64


def main() -> None:
    runs_folder, style, target = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
    runs = [run for run in read_runs(runs_folder) if run.summary.get("style") == style]
    runs.sort(key=_order)
    sheets = [Image.open(runs_folder / run.id / "artifacts" / "sheet.png") for run in runs]
    width = sheets[0].width
    page = Image.new("RGB", (width, HEADER_HEIGHT + SIDE * (len(runs) + 1)), "white")
    page.paste(sheets[0].crop((0, 0, width, HEADER_HEIGHT)), (0, 0))
    for row, (run, sheet) in enumerate(zip(runs, sheets, strict=True)):
        _paste_row(page, sheet, source=0, row=row, label=_label(run))
    _paste_row(page, sheets[-1], source=1, row=len(runs), label="real")
    page.quantize(64).save(target, optimize=True)


def _paste_row(page: Image.Image, sheet: Image.Image, *, source: int, row: int, label: str) -> None:
    top, source_top = HEADER_HEIGHT + SIDE * row, HEADER_HEIGHT + SIDE * source
    strip = sheet.crop((LABEL_WIDTH, source_top, sheet.width, source_top + SIDE))
    page.paste(strip, (LABEL_WIDTH, top))
    for line, text in enumerate(label.split("\n")):
        ImageDraw.Draw(page).text((2, top + SIDE // 2 - 12 + 12 * line), text, fill="black")


def _order(run: StoredRun) -> tuple[int, str]:
    return int(run.number("num_steps") or 0), str(run.summary["method"])


def _label(run: StoredRun) -> str:
    return f"{run.summary['method']}\n{run.summary['num_steps']} steps"


if __name__ == "__main__":
    main()
