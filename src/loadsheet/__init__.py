"""loadsheet: plan, serve, benchmark and explain LLMs and image generators on one shared device."""

__version__ = "0.1.0"
