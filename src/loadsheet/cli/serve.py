"""`loadsheet serve`: the server with models of your choice on this device."""

import argparse
import os
import time
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from loadsheet.cli.asset_progress import asset_progress
from loadsheet.cli.calibrated_prior import calibrated_prior
from loadsheet.cli.device_flags import add_device_flags, add_serving_flags, device_config
from loadsheet.cli.load_sheet import print_address, print_load_sheet
from loadsheet.cli.planned_device import (
    check_memory,
    planned_config,
    planned_group,
    within_plan,
)
from loadsheet.errors import ConfigError
from loadsheet.hardware.host import this_host
from loadsheet.planner.plan import PlannedGroup
from loadsheet.runtime.clock import MonotonicClock
from loadsheet.runtime.device_config import DeviceConfig
from loadsheet.runtime.device_loop import DeviceLoop
from loadsheet.runtime.event_log import EventLogWriter
from loadsheet.runtime.open_device import OpenDevice, Phase
from loadsheet.runtime.warm_up import warm_up
from loadsheet.sched.policies import make_scheduler
from loadsheet.sched.step_times import small_cpu_prior
from loadsheet.server.app import create_app
from loadsheet.server.config import ServerConfig
from loadsheet.server.run import listen, make_server


def add_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("plan", nargs="?", type=Path, metavar="PLAN_DIR", help="serve by this plan")
    parser.add_argument("--group", metavar="NAME", help="of the plan, if it has several")
    parser.add_argument(
        "--models", type=Path, metavar="DIR", help="a folder per model of the plan, by its name"
    )
    parser.add_argument("--text", metavar="MODEL", help="catalogue name, folder or hub id")
    parser.add_argument("--image", metavar="MODEL", help="catalogue name, folder or hub id")
    parser.add_argument(
        "--image-adapter",
        metavar="NAME=FOLDER",
        action="append",
        default=[],
        help="LoRA over the image model, served as MODEL:NAME; may be given again",
    )
    parser.add_argument("--embed", metavar="MODEL", help="encoder: catalogue name or folder")
    parser.add_argument(
        "--classify",
        metavar="FOLDER[,FOLDER]",
        default="",
        help="classifiers that `adapt text` wrote, or sentiment",
    )
    add_server_flags(parser)


def add_server_flags(parser: argparse.ArgumentParser) -> None:
    """Everything but the choice of models."""
    group = parser.add_argument_group("server")
    group.add_argument("--host", default="127.0.0.1")
    group.add_argument("--port", type=int, default=8000)
    group.add_argument("--api-key", default=os.environ.get("LOADSHEET_API_KEY"), metavar="KEY")
    group.add_argument("--drain-timeout", type=float, default=30.0, metavar="S")
    group.add_argument(
        "--adapter-folder", type=Path, metavar="FOLDER", help="clients may load LoRA from here"
    )
    group.add_argument("--event-log", type=Path, metavar="FILE", help="record events and plans")
    add_device_flags(parser)
    add_serving_flags(parser)


def run(arguments: argparse.Namespace) -> int:
    if arguments.plan is None:
        for flag, value in (("--group", arguments.group), ("--models", arguments.models)):
            if value is not None:
                raise ConfigError(f"{flag} is about a plan; give PLAN_DIR too")
        serve_device(arguments, device_config(arguments))
        return 0
    plan, group = planned_group(arguments.plan, arguments.group)
    config = planned_config(plan, group, arguments, arguments.models)
    serve_device(arguments, config, group)
    return 0


def serve_device(
    arguments: argparse.Namespace, config: DeviceConfig, group: PlannedGroup | None = None
) -> None:
    """Open the device, print its load sheet and serve until a signal, then drain; within the limits
    of a planned `group` if there is one."""
    # the engine needs torch, seconds of start-up that no other command should pay
    start_s = time.perf_counter()
    from loadsheet.engine.assets import ensure_assets, resolve_model
    from loadsheet.engine.device import open_device
    from loadsheet.engine.encoder.boarding import encoder_assets
    from loadsheet.engine.torch_device import device_memory_bytes

    if group is not None:
        check_memory(group, device_memory_bytes(config.device) or this_host(1).memory_bytes)
    import_phase = Phase(name="import torch", seconds=time.perf_counter() - start_s)
    listen(arguments.host, arguments.port).close()  # a taken port should fail before the loading
    with asset_progress(Console(stderr=True)) as on_progress:
        for ref in filter(None, (config.text, config.image)):
            resolve_model(ref, config.cache_dir, on_progress)
        encoders = encoder_assets(config.embed, config.classify)
        ensure_assets(encoders, config.cache_dir, on_progress)
    console = Console()
    with console.status("loading") as status:
        device = open_device(config, lambda phase: status.update(phase))
        if group is not None:
            device = within_plan(device, group)
        loop, log = _start_loop(arguments, config, device)
        start_s = time.perf_counter()
        status.update("warming up")
        warm_up(loop, device.cards)
    warm_phase = Phase(name="warm up", seconds=time.perf_counter() - start_s)
    device = replace(device, phases=(import_phase, *device.phases, warm_phase))
    print_load_sheet(console, device, config)
    server_config = ServerConfig(api_key=arguments.api_key, adapter_folder=arguments.adapter_folder)
    app = create_app(loop, device.cards, server_config, device.adapters)
    listener = listen(arguments.host, arguments.port)
    port = listener.getsockname()[1]
    print_address(console, f"http://{arguments.host}:{port}", device)
    try:
        make_server(app, drain_timeout_s=arguments.drain_timeout).run([listener])
    finally:
        loop.stop()
        if log is not None:
            log.close()


def _start_loop(
    arguments: argparse.Namespace, config: DeviceConfig, device: OpenDevice
) -> tuple[DeviceLoop, EventLogWriter | None]:
    prior = calibrated_prior(device, config)
    scheduler = make_scheduler(device.limits, config.policy, prior or small_cpu_prior)
    log = None
    if arguments.event_log is not None:
        log = EventLogWriter(arguments.event_log, device.limits, config.policy, prior)
    loop = DeviceLoop(
        scheduler,
        device.executor,
        MonotonicClock(),
        num_lanes=device.limits.num_lanes,
        event_log=log,
    )
    loop.start()
    return loop, log
