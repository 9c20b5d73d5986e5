"""Tables and figures of docs/guide/adapt-bert.md, from the stored runs of `loadsheet adapt text`.

python benchmarks/adapt_bert_report.py examples/scenario-2-adapt/runs docs/guide/img
"""

import argparse
import statistics
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib import pyplot as plt

from loadsheet.track import StoredRun, read_runs

mpl.use("Agg")
METHODS = ("tfidf", "probe", "lora", "full", "scratch")
DOMAINS = ("movie", "tweets", "nyt", "amazon")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", type=Path)
    parser.add_argument("images", type=Path)
    arguments = parser.parse_args()
    runs = [
        run
        for run in read_runs(arguments.runs)
        if run.command == "adapt text" and run.status == "finished"
    ]
    pooled = [run for run in runs if run.summary["train_domain"] == "all"]
    print(size_table(pooled), cost_table(pooled), shift_table(runs), sep="\n\n")
    plt.rcParams["svg.hashsalt"] = "loadsheet"  # the same figure gives the same file
    draw_curve(pooled, arguments.images / "adapt-bert-curve.svg")
    draw_reliability(pooled, arguments.images / "adapt-bert-reliability.svg")


def size_table(runs: Sequence[StoredRun]) -> str:
    """Accuracy by method and number of texts: mean and range over the draws."""
    cells: dict[tuple[str, int], list[float]] = defaultdict(list)
    for run in runs:
        cells[method(run), num_train(run)].append(number(run, "accuracy"))
    sizes = sorted({size for _, size in cells})
    lines = [f"| trained on | {' | '.join(f'{size:,}' for size in sizes)} |"]
    lines.append("|---" * (len(sizes) + 1) + "|")
    for name in METHODS:
        found = [cells.get((name, size), []) for size in sizes]
        lines.append(f"| {name} | {' | '.join(map(mean_and_range, found))} |")
    return "\n".join(lines)


def mean_and_range(values: Sequence[float]) -> str:
    if not values:
        return ""
    mean = f"{statistics.mean(values):.3f}"
    if len(values) == 1:
        return mean
    return f"{mean} ({min(values):.3f}–{max(values):.3f}, {len(values)})"


def cost_table(runs: Sequence[StoredRun], size: int = 500) -> str:
    """What each method costs and how far its confidence can be trusted, at one number of texts."""
    lines = [
        "| method | macro F1 | ECE | ECE scaled | learnt | steps | core-seconds | peak | to ship "
        "| core-ms per text |",
        "|---" * 10 + "|",
    ]
    for name in METHODS:
        mine = [run for run in runs if method(run) == name and num_train(run) == size]
        if not mine:
            continue
        mean = {key: statistics.mean(number(run, key) for run in mine) for key in KEYS}
        first = mine[0]
        lines.append(
            f"| {name} | {mean['macro_f1']:.3f} | {mean['ece']:.3f} | {mean['ece_scaled']:.3f} "
            f"| {number(first, 'trainable_parameters'):,.0f} | {number(first, 'num_steps'):.0f} "
            f"| {mean['cpu_seconds']:.1f} | {number(first, 'peak_memory_bytes') / 2**30:.2f} GiB "
            f"| {number(first, 'shipped_bytes') / 1e6:.3f} MB | {mean['cpu_ms_per_example']:.2f} |"
        )
    return "\n".join(lines)


KEYS = ("macro_f1", "ece", "ece_scaled", "cpu_seconds", "cpu_ms_per_example")


def shift_table(runs: Sequence[StoredRun], size: int = 1000) -> str:
    """Rows: what it was trained on. Columns: accuracy on each domain's test texts."""
    lines = [f"| trained on | method | {' | '.join(DOMAINS)} |", "|---" * 6 + "|"]
    for domain in [*DOMAINS, *(f"all-but-{domain}" for domain in DOMAINS)]:
        for name in METHODS:
            for run in runs:
                is_it = (method(run), num_train(run)) == (name, size)
                if is_it and run.summary["train_domain"] == domain:
                    by_domain = run.summary["accuracy_by_domain"]
                    assert isinstance(by_domain, dict)
                    cells = [marked(by_domain[one], one, domain) for one in DOMAINS]
                    lines.append(f"| {domain} | {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def marked(accuracy: float, test: str, train: str) -> str:
    """Bold where the test texts are of a domain that training never saw."""
    is_unseen = train == f"all-but-{test}" or (not train.startswith("all") and train != test)
    return f"**{accuracy:.3f}**" if is_unseen else f"{accuracy:.3f}"


def draw_curve(runs: Sequence[StoredRun], path: Path) -> None:
    figure, axes = plt.subplots(figsize=(6.4, 3.6), layout="constrained")
    for name in METHODS:
        points: dict[int, list[float]] = defaultdict(list)
        for run in runs:
            if method(run) == name:
                points[num_train(run)].append(number(run, "accuracy"))
        sizes = sorted(points)
        means = [statistics.mean(points[size]) for size in sizes]
        (line,) = axes.plot(sizes, means, marker="o", markersize=4, label=name)
        for size in sizes:
            axes.plot([size, size], [min(points[size]), max(points[size])], color=line.get_color())
    axes.set(xscale="log", xlabel="training texts", ylabel="accuracy on all test texts")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    figure.savefig(path, metadata={"Date": None})


def draw_reliability(runs: Sequence[StoredRun], path: Path, size: int = 500) -> None:
    figure, axes = plt.subplots(figsize=(4.2, 3.8), layout="constrained")
    axes.plot([0.5, 1], [0.5, 1], color="grey", linewidth=0.8, linestyle="--")
    for name in METHODS:
        run = next((one for one in runs if (method(one), num_train(one)) == (name, size)), None)
        if run is None:
            continue
        bins = run.summary["reliability"]
        assert isinstance(bins, list)
        kept = [one for one in bins if one["count"] >= 20]
        confidence = [one["confidence"] for one in kept]
        axes.plot(confidence, [one["accuracy"] for one in kept], marker="o", markersize=3,
                  label=name)  # fmt: skip
    axes.set(xlabel="confidence", ylabel="accuracy")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    figure.savefig(path, metadata={"Date": None})


def method(run: StoredRun) -> str:
    return str(run.summary["method"])


def num_train(run: StoredRun) -> int:
    return int(number(run, "num_train_examples"))


def number(run: StoredRun, key: str) -> float:
    value = run.number(key)
    assert value is not None, f"{run.id} has no {key}"
    return value


if __name__ == "__main__":
    main()
