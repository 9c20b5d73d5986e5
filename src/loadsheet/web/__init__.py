"""The page: static ES modules without a build step, served by the app and usable offline."""

from pathlib import Path

STATIC_DIR = Path(__file__).parent / "static"
