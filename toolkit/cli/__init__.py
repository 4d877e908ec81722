"""The command `toolkit`: the only room that knows typer and rich."""

from __future__ import annotations

import sys

__all__ = ["main"]

INTERRUPTED = 130  # the shell's convention for a process ended by Ctrl-C


def main() -> None:
    """Run the command; a user's mistake is one line on standard error and exit status 1."""
    from toolkit.errors import InputError

    try:
        import toolkit.cli.judging
        import toolkit.cli.repair  # noqa: F401 - both add their command
        from toolkit.cli.app import app

        app(prog_name="toolkit")
    except InputError as error:
        print(f"toolkit: {error}", file=sys.stderr)
        sys.exit(1)
    except SystemExit as end:
        if end.code == INTERRUPTED:
            print("toolkit: interrupted. Finished fits are kept; the same command goes on from there.", file=sys.stderr)
        raise
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(0)
