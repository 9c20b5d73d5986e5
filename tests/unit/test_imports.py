"""Only `engine`, `adapt`, `cluster` and the words of `train` and `adapt` may load the heavy
frameworks: `cli.sub_commands` imports such a word when it is the one that was typed."""

import json
import subprocess
import sys

HEAVY = {"torch", "transformers", "diffusers", "openvino", "ray"}

SCRIPT = """
import importlib, json, pkgutil, sys
import loadsheet
skipped = {"engine", "adapt", "cluster"}
names = [
    info.name for info in pkgutil.walk_packages(loadsheet.__path__, "loadsheet.")
    if info.name.split(".")[1] not in skipped
    and not info.name.startswith(("loadsheet.cli.train_", "loadsheet.cli.adapt_"))
]
for name in names:
    importlib.import_module(name)
print(json.dumps({"imported": names, "modules": sorted(sys.modules)}))
"""


def import_light_packages() -> dict[str, list[str]]:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


def test_everything_but_the_engines_stays_light():
    found = import_light_packages()
    assert {"loadsheet.sched.plan", "loadsheet.cli.main"} <= set(found["imported"])
    assert HEAVY.isdisjoint(found["modules"])
