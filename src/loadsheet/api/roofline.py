"""The roofline as a chart: attainable FLOP/s over intensity, and where each phase lies."""

from loadsheet.cost.chart import Chart
from loadsheet.cost.explain import Explanation


def roofline(shown: Explanation) -> Chart:
    """One roof per number format that phases multiply in; marks are expected times."""
    device, many = shown.device, shown.stack.tp
    bandwidth = many * device.memory_bytes_per_s
    marks = {
        part.name: (part.intensity, part.flops / part.seconds)
        for part in shown.phases
        if part.flops
    }
    peaks = {round(part.ridge * device.memory_bytes_per_s) * many for part in shown.phases}
    edges = [*(peak / bandwidth for peak in peaks), *(x for x, _ in marks.values())]
    low, high = min(edges) / 4, max(edges) * 4
    roofs = {
        f"roof {peak / 1e12:,.0f} TFLOP/s": [
            (low, low * bandwidth),
            (peak / bandwidth, float(peak)),
            (high, float(peak)),
        ]
        for peak in sorted(peaks)
    }
    return Chart(
        title=f"{shown.model} on {device.name} (simulated)",
        x_label="FLOP per byte",
        y_label="FLOP/s",
        lines=roofs,
        marks=marks,
    )
