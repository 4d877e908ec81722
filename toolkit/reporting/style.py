"""How every figure looks: one palette, one type size, SVG that follows the page's light or dark scheme."""

from __future__ import annotations

import base64
import io
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

__all__ = ["LIGHT", "PAGE", "Figure", "Palette", "draw_png", "draw_svg", "standalone"]

WIDTH, HEIGHT = 360, 250  # points; text is 9.5 points, legible when a phone shows the panel at 340 pixels
RASTER_DPI = 110
LETTER = 5.3  # average width in points of a letter of a tick label


@dataclass(frozen=True)
class Figure:
    """One picture, ready for the page."""

    name: str
    section: str
    title: str
    svg: str
    alt: str  # what a person must know without seeing it, with the numbers
    caption: str  # what a good fit looks like, and what to do if it is not
    side: str = ""  # arm that the panel belongs to; "" for both

    @property
    def file_name(self) -> str:
        """A name that every file system takes."""
        return re.sub(r"[^A-Za-z0-9]+", "_", self.name).strip("_")[:80] + ".svg"


@dataclass(frozen=True)
class Palette:
    """Colours by role. `dots` are used inside raster images, which cannot follow the scheme."""

    ink: str
    muted: str
    grid: str
    surface: str
    regression: str
    neural: str
    reference: str
    baseline: str
    regression_dots: str = "#4f86c6"
    neural_dots: str = "#d9743f"

    def of(self, kind: str) -> str:
        return {"regression": self.regression, "neural": self.neural, "baseline": self.baseline}.get(
            kind, self.reference
        )

    def dots(self, kind: str) -> str:
        return self.neural_dots if kind == "neural" else self.regression_dots


ROLES = ("ink", "muted", "grid", "surface", "regression", "neural", "reference", "baseline")
# Place holders: no figure uses these near-black colours otherwise, so they can be exchanged for CSS variables.
PAGE = Palette(*(f"#01010{digit}" for digit in range(1, 9)))
LIGHT = Palette("#1d2430", "#5b6472", "#dfe3e8", "#ffffff", "#2563a8", "#b4481a", "#56784a", "#6f6f76")
DARK = Palette("#e8eaee", "#a3abb8", "#353b46", "#171a20", "#82b4ec", "#f0996b", "#9cc48c", "#a9a9b3")


def rc() -> dict[str, Any]:
    return {
        "svg.fonttype": "none",
        "svg.hashsalt": "toolkit",
        "text.parse_math": False,  # names of columns may hold dollar signs
        "font.family": "DejaVu Sans",
        "font.size": 9.5,
        "axes.titlesize": 9.5,
        "axes.labelsize": 9.5,
        "xtick.labelsize": 8.5,
        "ytick.labelsize": 8.5,
        "legend.fontsize": 8.5,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.linewidth": 0.7,
        "axes.unicode_minus": True,
        "axes.formatter.limits": (-4, 6),
        "axes.formatter.use_mathtext": False,
        "lines.linewidth": 1.6,
        "xtick.major.size": 3,
        "ytick.major.size": 3,
        "legend.frameon": False,
    }


def prepare(axes: Any, palette: Palette) -> None:
    """Colours that matplotlib takes from rc in other programs; here they depend on the palette."""
    axes.set_facecolor("none")
    for spine in axes.spines.values():
        spine.set_color(palette.muted)
    axes.tick_params(colors=palette.muted, labelcolor=palette.muted, width=0.7)
    for label in (axes.xaxis.label, axes.yaxis.label, axes.title):
        label.set_color(palette.ink)
    axes.grid(True, color=palette.grid, linewidth=0.6)
    axes.set_axisbelow(True)


def draw_svg(draw: Callable[[Any, Palette], None], name: str, width: float = WIDTH, height: float = HEIGHT) -> str:
    """SVG text of one panel; colours are CSS variables, letters stay letters, ids are unique to `name`."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure as Canvas

    with rc_context(rc()):
        canvas = Canvas(figsize=(width / 72, height / 72), dpi=RASTER_DPI)
        axes = canvas.add_subplot()
        prepare(axes, PAGE)
        draw(axes, PAGE)
        _fit(canvas, axes)
        out = io.StringIO()
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Glyph .* missing")  # letters stay letters: the reader has the font
            canvas.savefig(out, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return _for_page(out.getvalue(), name)


def _fit(canvas: Any, axes: Any) -> None:
    """Margins that hold the labels, from the number of their letters; matplotlib's own layout takes twice the time."""
    width, height = canvas.get_size_inches() * 72
    left = LETTER * _longest(axes.yaxis) + (30 if axes.get_ylabel() else 14)
    turned = next((label.get_rotation() for label in axes.get_xticklabels()), 0) > 0
    bottom = 24 + (16 if axes.get_xlabel() else 0) + (0.72 * LETTER * _longest(axes.xaxis) - 4 if turned else 0)
    canvas.subplots_adjust(left=left / width, right=1 - 8 / width, bottom=bottom / height, top=1 - 8 / height)


def _longest(axis: Any) -> int:
    """Letters of the longest tick label in view."""
    low, high = sorted(axis.get_view_interval())
    at = [place for place in axis.get_majorticklocs() if low <= place <= high]
    return max((len(text) for text in axis.get_major_formatter().format_ticks(at)), default=0)


def draw_png(draws: list[tuple[str, Callable[[Any, Palette], None]]], columns: int = 2, title: str = "") -> bytes:
    """Several panels on one light PNG, for the dashboard's image charts."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure as Canvas

    rows = -(-len(draws) // columns)
    with rc_context(rc()):
        size = (columns * WIDTH / 72, rows * HEIGHT / 72 + 0.3)
        canvas = Canvas(figsize=size, dpi=80, facecolor="white", layout="constrained")
        canvas.suptitle(title, color=LIGHT.ink, fontsize=11)
        for i, (heading, draw) in enumerate(draws):
            axes = canvas.add_subplot(rows, columns, i + 1)
            prepare(axes, LIGHT)
            draw(axes, LIGHT)
            axes.set_title(heading, loc="left")
        out = io.BytesIO()
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Glyph .* missing")
            canvas.savefig(out, format="png")
    return out.getvalue()


def _for_page(svg: str, name: str) -> str:
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.S)
    svg = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", svg, flags=re.S)
    svg = re.sub(r"<!--.*?-->", "", svg, flags=re.S)
    svg = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)
    svg = re.sub(r"data:image/png;base64,([A-Za-z0-9+/=\s]+)", _smaller, svg)
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower())
    svg = re.sub(r'\bid="([^"]+)"', rf'id="{slug}-\1"', svg)
    svg = re.sub(r'(href="#|url\(#)([^")]+)', rf"\1{slug}-\2", svg)
    for digit, role in enumerate(ROLES, start=1):
        svg = svg.replace(f"#01010{digit}", f"var(--{role})")
    svg = re.sub(r"'DejaVu Sans'(, sans-serif)?", "var(--sans)", svg)
    return re.sub(r"\n\s*", "\n", svg).strip()


def _smaller(found: re.Match[str]) -> str:
    """The same raster with a palette of 64 colours: a cloud of dots has few."""
    from PIL import Image

    image = Image.open(io.BytesIO(base64.b64decode(found[1])))
    out = io.BytesIO()
    image.convert("RGBA").quantize(64, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE).save(
        out, "PNG", optimize=True
    )
    return "data:image/png;base64," + base64.b64encode(out.getvalue()).decode()


def standalone(figure: Figure) -> str:
    """The same SVG as a file of its own, with its colours and its description inside."""
    from xml.sax.saxutils import escape

    def colours(palette: Palette) -> str:
        return "".join(f"--{role}:{getattr(palette, role)};" for role in ROLES)

    style = (
        f"<style>svg{{{colours(LIGHT)}--sans:sans-serif;background:var(--surface)}}"
        f"@media (prefers-color-scheme:dark){{svg{{{colours(DARK)}}}}}</style>"
    )
    head = f"<title>{escape(figure.title)}</title><desc>{escape(figure.alt)}</desc>{style}"
    end = figure.svg.index(">") + 1
    return figure.svg[:end] + head + figure.svg[end:] + "\n"
