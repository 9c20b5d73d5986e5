"""`loadsheet serve`: the server with models of your choice on this device."""

import argparse
import os
from pathlib import Path

from rich.console import Console

from loadsheet.cli.device_flags import add_device_flags, add_serving_flags, device_config
from loadsheet.cli.load_sheet import print_address, print_load_sheet
from loadsheet.runtime.clock import MonotonicClock
from loadsheet.runtime.device_config import DeviceConfig
from loadsheet.runtime.device_loop import DeviceLoop
from loadsheet.runtime.event_log import EventLogWriter
from loadsheet.runtime.open_device import OpenDevice
from loadsheet.sched.policies import make_scheduler
from loadsheet.server.app import create_app
from loadsheet.server.config import ServerConfig
from loadsheet.server.run import serve


def add_command(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser("serve", help="serve models of your choice on this device")
    parser.add_argument("--text", metavar="MODEL", help="catalogue name, folder or hub id")
    parser.add_argument("--image", metavar="MODEL", help="catalogue name, folder or hub id")
    add_server_flags(parser)
    parser.set_defaults(run=run, parser=parser)


def add_server_flags(parser: argparse.ArgumentParser) -> None:
    """Everything but the choice of models."""
    group = parser.add_argument_group("server")
    group.add_argument("--host", default="127.0.0.1")
    group.add_argument("--port", type=int, default=8000)
    group.add_argument("--api-key", default=os.environ.get("LOADSHEET_API_KEY"), metavar="KEY")
    group.add_argument("--drain-timeout", type=float, default=30.0, metavar="S")
    group.add_argument("--event-log", type=Path, metavar="FILE", help="record events and plans")
    add_device_flags(parser)
    add_serving_flags(parser)


def run(arguments: argparse.Namespace) -> int:
    serve_device(arguments, device_config(arguments))
    return 0


def serve_device(arguments: argparse.Namespace, config: DeviceConfig) -> None:
    """Open the device, print its load sheet and serve until a signal, then drain."""
    # the engine needs torch, seconds of start-up that no other command should pay
    from loadsheet.engine.device import open_device

    console = Console()
    with console.status("loading") as status:
        device = open_device(config, lambda phase: status.update(f"loading: {phase}"))
    print_load_sheet(console, device, config)
    loop, log = _start_loop(arguments, config, device)
    app = create_app(loop, device.cards, ServerConfig(api_key=arguments.api_key))
    print_address(console, f"http://{arguments.host}:{arguments.port}", device)
    try:
        serve(
            app,
            host=arguments.host,
            port=arguments.port,
            drain_timeout_s=arguments.drain_timeout,
        )
    finally:
        loop.stop()
        if log is not None:
            log.close()


def _start_loop(
    arguments: argparse.Namespace, config: DeviceConfig, device: OpenDevice
) -> tuple[DeviceLoop, EventLogWriter | None]:
    scheduler = make_scheduler(device.limits, config.policy)
    log = None
    if arguments.event_log is not None:
        log = EventLogWriter(arguments.event_log, device.limits, config.policy)
    loop = DeviceLoop(
        scheduler,
        device.executor,
        MonotonicClock(),
        num_lanes=device.limits.num_lanes,
        event_log=log,
    )
    loop.start()
    return loop, log
