"""Training shows where it is: a bar in a terminal, few lines elsewhere."""

import io

from rich.console import Console
from rich.progress import Progress

from loadsheet.cli.training_progress import BarProgress, training_progress


def test_outside_a_terminal_the_first_and_the_last_step_are_lines():
    stream = io.StringIO()
    with training_progress("lora-0", stream) as observer:
        for step in range(1, 101):
            observer.on_step(step, 100, 2.0)
    lines = stream.getvalue().splitlines()
    assert [line.split(" s/step")[0].rpartition(",")[0] for line in lines] == [
        "lora-0 1/100 loss 2.0000",
        "lora-0 100/100 loss 2.0000",
    ]


def test_in_a_terminal_there_is_a_bar_with_the_smoothed_loss():
    stream = io.StringIO()
    with Progress(console=Console(file=stream, force_terminal=True, width=200)) as bars:
        observer = BarProgress("lora-0", bars)
        observer.on_step(3, 40, 1.0)
        observer.on_step(4, 40, 3.0)
        (task,) = bars.tasks
        assert (task.completed, task.total) == (4, 40)
        assert task.fields["facts"].startswith("loss 2.0000, ")
    assert "lora-0" in stream.getvalue()
