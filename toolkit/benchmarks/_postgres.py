"""A PostgreSQL server of our own on loopback, from Debian's package, for as long as it is needed."""

from __future__ import annotations

import os
import pwd
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from toolkit.errors import InputError

__all__ = ["free_port", "postgres"]

PLACES = (*sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True), Path("/usr/local/bin"), Path("/usr/bin"))


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def postgres(folder: Path) -> Iterator[str]:
    """A new database cluster under `folder`; gives the address of its database.

    Raises
    ------
    InputError
        With what is missing on this machine.
    """
    home = next((place for place in PLACES if (place / "initdb").exists() and (place / "pg_ctl").exists()), None)
    if home is None:
        raise InputError("needs PostgreSQL: apt-get install postgresql")
    if find_spec("psycopg") is None:
        raise InputError("needs psycopg: pip install 'psycopg[binary]'")
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": folder, **_user(folder)}
    port, data = free_port(), folder / "data"
    subprocess.run([home / "initdb", "-D", data, "-U", "toolkit", "-A", "trust", "--no-sync"], check=True, **quiet)
    options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off"
    control = [home / "pg_ctl", "-D", data, "-w"]
    subprocess.run([*control, "-o", options, "-l", folder / "log", "start"], check=True, **quiet)
    try:
        yield f"postgresql+psycopg://toolkit@127.0.0.1:{port}/postgres"
    finally:
        subprocess.run([*control, "-m", "immediate", "stop"], check=False, **quiet)


def _user(folder: Path) -> dict[str, Any]:
    """PostgreSQL refuses to run as root: the user of its package, who must be able to reach the folder."""
    if os.geteuid() != 0:
        return {}
    try:
        user = pwd.getpwnam("postgres")
    except KeyError:
        raise InputError("needs the user 'postgres' to run PostgreSQL from a root shell") from None
    os.chown(folder, user.pw_uid, user.pw_gid)
    for parent in [folder, *folder.parents][:4]:
        parent.chmod(parent.stat().st_mode | 0o711)
    return {"user": user.pw_uid, "group": user.pw_gid, "env": {**os.environ, "HOME": str(folder)}}
