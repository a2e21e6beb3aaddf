"""The command line. Nothing here imports JAX before a command needs it."""

import sys


def main() -> None:
    """Run the command `wideflow`."""
    try:
        from .app import app
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("typer", "rich", "click"):
            raise
        sys.stderr.write(f'wideflow: the command line needs {error.name}: pip install "wideflow[cli]"\n')
        sys.exit(2)
    app()
