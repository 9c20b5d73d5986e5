"""Every error a user can meet, as one tree.

    LoadsheetError
    ├── ConfigError        a setting, flag or file is wrong: says value, limit and next step
    ├── SpecError          a model description is unknown or incomplete
    ├── AssetError         a model or data file is missing, damaged or cannot be fetched
    ├── CapacityError      a request or model can never fit in what was configured
    ├── InfeasibleError    no plan meets the limits
    ├── BusyError          something is in use; the same call may work later
    └── ExecutorError      a device failed to run a step

The command line prints the message and exits with 2; the server turns it into an OpenAI-shaped
error. Neither ever shows a traceback for one of these.
"""


class LoadsheetError(Exception):
    """Root of every error raised on purpose."""


class ConfigError(LoadsheetError):
    """A setting is wrong."""


class SpecError(LoadsheetError):
    """A model description is unknown or incomplete."""


class AssetError(LoadsheetError):
    """A file is missing, damaged or cannot be fetched."""


class CapacityError(LoadsheetError):
    """Something can never fit in what was configured."""


class InfeasibleError(LoadsheetError):
    """No plan meets the limits."""


class BusyError(LoadsheetError):
    """Something is in use."""


class ExecutorError(LoadsheetError):
    """A device failed to run a step."""
