"""Start a baseline, wait until it answers, and measure it or hold it.

    python benchmarks/baselines/launch.py install hf
    python benchmarks/baselines/launch.py run two-processes-pinned --text MODEL --image MODEL \\
        --workload examples/workloads/baseline.toml --out runs/pinned

Packages live in environments of their own under --home, never in loadsheet's. Without --workload
the servers stay up until Ctrl-C. Cores are split in two halves where a baseline pins.
"""

import argparse
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
HOME = Path.home() / ".cache" / "loadsheet" / "baselines"
START_S = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """One process: its program, the kinds it serves, and what it is held to."""

    environment: str
    kinds: tuple[str, ...]
    port: int
    half: int | None = None  # which half of the cores; None leaves them all
    variables: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    what: str
    servers: tuple[Server, ...]


def pair(
    environment: str, *, pinned: bool, variables: tuple[tuple[str, str], ...] = ()
) -> tuple[Server, ...]:
    return tuple(
        Server(
            environment=environment,
            kinds=(kind,),
            port=port,
            half=half if pinned else None,
            variables=variables,
        )
        for kind, port, half in (("text", 8101, 0), ("image", 8102, 1))
    )


BASELINES = {
    "two-processes": Baseline(
        what="transformers serve and a diffusers server, as they come",
        servers=pair("hf", pinned=False),
    ),
    "two-processes-passive": Baseline(
        what="the same, idle OpenMP threads sleep instead of spinning",
        servers=pair("hf", pinned=False, variables=(("OMP_WAIT_POLICY", "PASSIVE"),)),
    ),
    "two-processes-pinned": Baseline(
        what="the same, half of the cores for each",
        servers=pair("hf", pinned=True),
    ),
    "openvino-one-process": Baseline(
        what="OpenVINO GenAI, both pipelines in one process on all cores",
        servers=(Server(environment="openvino", kinds=("text", "image"), port=8103),),
    ),
    "openvino-two-pinned": Baseline(
        what="OpenVINO GenAI, a process per model, half of the cores for each",
        servers=pair("openvino", pinned=True),
    ),
}


def main() -> int:
    asked = parse()
    if asked.action == "install":
        return install(asked.environment, asked.home)
    if asked.action == "list":
        for name, baseline in BASELINES.items():
            print(f"{name:24} {baseline.what}")
        return 0
    return run(asked)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0],
        epilog=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = parser.add_subparsers(dest="action", required=True)
    actions.add_parser("list", help="the baselines")
    made = actions.add_parser("install", help="make the environment of a baseline")
    made.add_argument("environment", choices=("hf", "openvino"))
    started = actions.add_parser("run", help="start a baseline")
    started.add_argument("baseline", choices=BASELINES)
    started.add_argument("--text", required=True, help="a model folder (OpenVINO: exported)")
    started.add_argument("--image", required=True, help="a pipeline folder (OpenVINO: exported)")
    started.add_argument("--python", type=Path, help="use this interpreter's environment instead")
    started.add_argument("--workload", type=Path, help="measure this, then stop")
    started.add_argument("--out", type=Path, help="where the report goes")
    for command in (made, started):
        command.add_argument("--home", type=Path, default=HOME, help="where environments live")
    return parser.parse_args()


def install(environment: str, home: Path) -> int:
    folder = home / environment
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    pip = [folder / "bin" / "python", "-m", "pip", "install"]
    subprocess.run([*pip, "torch==2.13.0"], check=True)
    subprocess.run([*pip, "-r", HERE / f"requirements-{environment}.txt"], check=True)
    # both pull a torchvision of another build, which breaks the import of transformers
    broken = ["torchvision", "torchaudio", "torchcodec"]
    return subprocess.run([*pip[:-1], "uninstall", "--yes", *broken], check=False).returncode


def run(asked: argparse.Namespace) -> int:
    servers = BASELINES[asked.baseline].servers
    processes = [start(server, asked) for server in servers]
    try:
        for server, process in zip(servers, processes, strict=True):
            wait_until_up(server, process)
        return measure(servers, asked) if asked.workload else hold(servers, processes)
    except KeyboardInterrupt:
        return 130
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait()


def start(server: Server, asked: argparse.Namespace) -> subprocess.Popen:
    python = asked.python or asked.home / server.environment / "bin" / "python"
    cores = half_of_cores(server.half)
    variables = {**os.environ, **dict(server.variables), "HF_HUB_OFFLINE": "1"}
    if server.half is not None:
        variables["OMP_NUM_THREADS"] = str(len(cores))
    process = subprocess.Popen(command(server, python, asked, len(cores)), env=variables)
    os.sched_setaffinity(process.pid, cores)
    return process


def command(server: Server, python: Path, asked: argparse.Namespace, threads: int) -> list[str]:
    if server.environment == "openvino":
        models = [flag for kind in server.kinds for flag in (f"--{kind}", getattr(asked, kind))]
        program = [str(python), str(HERE / "openvino_server.py"), *models]
        return [*program, "--port", str(server.port), "--threads", str(threads)]
    if server.kinds == ("text",):
        serve = [str(python.with_name("transformers")), "serve", asked.text, "--device", "cpu"]
        return [*serve, "--host", "127.0.0.1", "--port", str(server.port)]
    return [str(python), str(HERE / "diffusers_server.py"), asked.image, "--port", str(server.port)]


def half_of_cores(half: int | None) -> set[int]:
    cores = sorted(os.sched_getaffinity(0))
    if half is None or len(cores) == 1:
        return set(cores)
    middle = len(cores) // 2
    return set(cores[:middle] if half == 0 else cores[middle:])


def wait_until_up(server: Server, process: subprocess.Popen) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise SystemExit(f"the {'+'.join(server.kinds)} server ended with {process.returncode}")
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{server.port}/health", timeout=2).close()
            return
        except (urllib.error.URLError, OSError):
            time.sleep(0.5)
    raise SystemExit(f"the {'+'.join(server.kinds)} server is not up after {START_S:.0f} s")


def urls(servers: Sequence[Server]) -> dict[str, str]:
    return {kind: f"http://127.0.0.1:{server.port}" for server in servers for kind in server.kinds}


def measure(servers: Sequence[Server], asked: argparse.Namespace) -> int:
    at = urls(servers)
    loadsheet = [str(Path(sys.executable).with_name("loadsheet")), "bench", "run"]
    flags = [
        "--text-url",
        at["text"],
        "--image-url",
        at["image"],
        "--workload",
        str(asked.workload),
    ]
    if servers[0].environment == "hf":  # `transformers serve` names models by folder and refuses
        flags += ["--text-model", asked.text, "--no-ignore-eos"]  # fields it does not know
    if asked.out:
        flags += ["--out", str(asked.out)]
    return subprocess.run([*loadsheet, *flags], check=False).returncode


def hold(servers: Sequence[Server], processes: Sequence[subprocess.Popen]) -> int:
    for kind, url in urls(servers).items():
        print(f"{kind}: {url}", flush=True)
    while all(process.poll() is None for process in processes):
        time.sleep(1)
    return 1


if __name__ == "__main__":
    sys.exit(main())
