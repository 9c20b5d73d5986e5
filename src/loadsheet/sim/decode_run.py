"""A run of decodes in closed form: times of k iterations without stepping through them.

Within an affine segment of the decode cost, iteration j takes `first_s + (j - 1)·growth_s`, so k of
them take `k·first_s + growth_s·k(k - 1)/2`.
"""

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DecodeRun:
    """`growth_s` is what each iteration takes longer than the one before; never negative."""

    start_s: float
    first_s: float
    growth_s: float
    num_steps: int

    def end_s(self, num_steps: int) -> float:
        """When this many iterations are done."""
        growth_s = self.growth_s * num_steps * (num_steps - 1) / 2
        return self.start_s + num_steps * self.first_s + growth_s

    def only(self, step: int) -> "DecodeRun":
        """The run of nothing but iteration number `step`, from 1."""
        first_s = self.first_s + (step - 1) * self.growth_s
        return DecodeRun(self.end_s(step - 1), first_s, self.growth_s, 1)

    def num_done(self, now_s: float) -> int:
        """Iterations that are over by `now_s`."""
        left_s = now_s - self.start_s
        half = self.growth_s / 2
        linear = self.first_s - half
        if half:
            root = (math.sqrt(linear * linear + 4 * half * left_s) - linear) / (2 * half)
        else:
            root = left_s / linear
        num_done = min(max(int(root), 0), self.num_steps)
        while num_done < self.num_steps and self.end_s(num_done + 1) <= now_s:
            num_done += 1
        while num_done and self.end_s(num_done) > now_s:  # rounding of the root
            num_done -= 1
        return num_done
