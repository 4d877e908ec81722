"""Debian's Chromium without a window: what a page says after its scripts have run, and what it complains of."""

from __future__ import annotations

import shutil
import subprocess
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest

# What the dashboard itself says while its charts find their size
HARMLESS = ("deprecated", "ResizeObserver loop completed with undelivered notifications")
AXE = "axe-core@4.11.1"  # fetched when a test needs it, never installed or shipped


@dataclass(frozen=True)
class Page:
    html: str
    complaints: list[str]


def find_chromium() -> str:
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        pytest.skip("needs Chromium: apt-get install chromium")
    return found


def open_page(url: str, *, dark: bool = False, width: int = 1280, wait: int = 10_000) -> Page:
    """The document after `wait` milliseconds of the page's own time."""
    command = [
        find_chromium(),
        *("--headless", "--no-sandbox", "--disable-gpu", "--dump-dom", "--enable-logging=stderr"),
        f"--blink-settings=preferredColorScheme={0 if dark else 1}",
        f"--window-size={width},900",
        f"--virtual-time-budget={wait}",
    ]
    with tempfile.TemporaryDirectory() as profile:
        ran = subprocess.run(
            [*command, f"--user-data-dir={profile}", url], capture_output=True, text=True, timeout=180, check=False
        )
    lines = [line for line in ran.stderr.splitlines() if "CONSOLE" in line]
    errors = [line for line in lines if not any(harmless in line for harmless in HARMLESS)]
    return Page(ran.stdout, errors)


def find_axe(cache: Path) -> str:
    """The accessibility checker axe-core as one script, from the npm registry or from an earlier run's `cache`."""
    kept = cache / f"{AXE}.js"
    if not kept.exists():
        npm = shutil.which("npm")
        if npm is None:
            pytest.skip("needs npm to fetch axe-core: apt-get install npm")
        with tempfile.TemporaryDirectory() as folder:
            command = [npm, "pack", AXE, "--silent", "--fetch-retries=0", "--pack-destination", folder]
            try:
                subprocess.run(command, cwd=folder, capture_output=True, timeout=60, check=True)
            except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
                pytest.skip(f"needs {AXE} from the npm registry, which could not be had: {error}")
            with tarfile.open(next(Path(folder).glob("*.tgz"))) as archive:
                kept.write_bytes(archive.extractfile("package/axe.min.js").read())  # type: ignore[union-attr]
    return kept.read_text(encoding="utf-8")
