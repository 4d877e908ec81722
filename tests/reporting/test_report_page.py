"""The report: complete, self-contained, escaped, and readable in every colour scheme."""

from __future__ import annotations

import json
import re
import time
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from reporting.browser import find_axe, find_chromium, open_page
from reporting.example import make_comparison, make_dataset, make_predictions

from toolkit.comparison.record import ArmResult, Comparison
from toolkit.reporting.figures import build_figures
from toolkit.reporting.markdown import render_markdown
from toolkit.reporting.page import render_page, write_report
from toolkit.reporting.words import headline

NASTY = """<script>alert("x")</script>'&$\\frac{1}{2}$ Größe 温度 """ + "very" * 70
VOID = {"meta", "br", "img", "hr", "input", "link"}


class Outline(HTMLParser):
    """Tags, ids, links and visible text of a page; complains about tags that do not close."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.stack: list[str] = []
        self.tags: list[tuple[str, dict]] = []
        self.text: list[str] = []
        self.feed(text)
        assert self.stack == []

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.stack.append(tag)

    def handle_startendtag(self, tag: str, attrs: list) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.stack.pop() == tag

    def handle_data(self, data: str) -> None:
        if not {"style", "script"} & set(self.stack):
            self.text.append(data)


@pytest.fixture(scope="module")
def dataset():
    return make_dataset()


@pytest.fixture(scope="module")
def comparison(dataset) -> Comparison:
    return make_comparison(dataset)


@pytest.fixture(scope="module")
def figures(comparison, dataset):
    return build_figures(comparison, dataset)


@pytest.fixture(scope="module")
def page(comparison, figures) -> str:
    return render_page(comparison, figures)


@pytest.fixture(scope="module")
def report(page, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(page, encoding="utf-8")
    return path


def test_sentence_comes_first_and_every_section_is_there(page, comparison):
    outline = Outline(page)
    first, rest = headline(comparison.verdict.sentence)
    assert rest
    assert page.index(f"<h1>{first}</h1>") < page.index(rest) < page.index("Scores and costs")
    ids = {attrs.get("id") for _, attrs in outline.tags}
    assert {
        "scores",
        "gap",
        "checks",
        "effects",
        "residuals",
        "calibration",
        "specification",
        "training",
        "data",
    } <= ids
    words = " ".join(outline.text)
    for piece in ("demand ~ bs(temp, df=4)", "bs(temp)", "5 % of load is missing", "toolkit run demand_example.yaml"):
        assert piece in words


def test_nothing_points_outside_the_file(page):
    """What the sandbox of MLflow's preview blocks: anchors, other files, network."""
    outline = Outline(page)
    assert not [tag for tag, _ in outline.tags if tag in ("a", "link", "iframe")]
    for _, attrs in outline.tags:
        for key in ("src", "href", "xlink:href"):
            assert attrs.get(key, "#").startswith(("#", "data:"))
    assert not re.search(r"localStorage|fetch\(|XMLHttp|@import|url\((?!#)", page)


def test_ids_are_unique(page):
    ids = [attrs["id"] for _, attrs in Outline(page).tags if "id" in attrs]
    assert len(ids) == len(set(ids))


def test_scores_of_every_arm_with_intervals(page, comparison):
    words = " ".join(" ".join(Outline(page).text).split())
    for name, arm in comparison.arms.items():
        assert name in words
        assert f"{arm.scores['rmse']['mean']:.4g}" in words


def test_alt_texts_carry_numbers(figures, page):
    labels = [attrs["aria-label"] for _, attrs in Outline(page).tags if attrs.get("role") == "img"]
    for figure in figures.values():
        assert figure.alt in labels
        assert re.search(r"\d", figure.alt), figure.name
        assert figure.caption


def test_both_sides_have_the_same_panels_on_the_same_axes(figures):
    for name, figure in figures.items():
        if figure.side == "regression" and figure.section == "residuals":
            other = figures[name.replace("regression", "neural")]
            ticks = [re.findall(r"<text[^>]*>([−\d.]+)</text>", one.svg) for one in (figure, other)]
            assert ticks[0] == ticks[1] != []


def test_poor_checks_come_with_advice_and_numbers(page):
    words = " ".join(" ".join(Outline(page).text).split())
    assert "use robust covariance" in words
    assert "p < .001" in words
    assert re.search(r"limit 0\.0500", words)


def test_quick_run_is_marked_everywhere(comparison, figures):
    quick = make_comparison(quick=True)
    assert "not the full answer" in render_page(quick, figures)
    assert "not the full answer" in render_markdown(quick, figures)
    assert "not the full answer" not in render_page(comparison, figures)


def test_markdown_twin_says_the_same(comparison, figures, page):
    text = render_markdown(comparison, figures)
    first, rest = headline(comparison.verdict.sentence)
    assert text.startswith(f"# {first}\n\n{rest}\n")
    for figure in figures.values():
        assert f"figures/{figure.file_name}" in text
    for arm in comparison.arms:
        assert f"| {arm} |" in text


def test_small_and_reproducible(comparison, dataset, page):
    assert len(page.encode()) < 1_000_000
    assert render_page(comparison, build_figures(comparison, dataset)) == page


def test_nasty_names_are_escaped():
    names = (NASTY, "b'\"<b>", "season", "load")
    dataset = make_dataset(300, names=names)
    finding = {"finding": "f", "column": NASTY, "message": NASTY, "advice": NASTY}
    terms = ({"formula": NASTY, "terms": [{"term": NASTY, "p_value": 0.5}], "notes": [NASTY]},)
    base = make_comparison(dataset)
    arms = {
        **base.arms,
        "regression": ArmResult("regression", "regression", base.arms["regression"].scores, 1, 1, facts=terms),
    }
    comparison = make_comparison(dataset, arms=arms, question=NASTY, findings=(finding,), name=NASTY)
    figures = build_figures(comparison, dataset)
    page = render_page(comparison, figures)
    outline = Outline(page)
    assert sum(tag == "script" for tag, _ in outline.tags) == 1
    assert "<b>" not in page and "alert(&#34;x&#34;)" in page
    prose = re.sub(r"^(`{3,}).*?^\1$", "", render_markdown(comparison, figures), flags=re.S | re.M)
    assert "<script" not in prose and "&lt;script" in prose


@pytest.mark.parametrize(
    "case", ["perfect", "ten rows", "one prediction", "infinite", "failed arm", "no predictions", "binary"]
)
def test_odd_results_still_make_a_report(case):
    dataset = make_dataset(10 if case == "ten rows" else 120)
    predictions = make_predictions(dataset, folds=2, repeats=1)
    changes: dict = {}
    if case == "perfect":
        predictions["predicted"] = predictions["observed"]
    elif case == "one prediction":
        predictions["predicted"] = 3.0
    elif case == "infinite":
        rows = predictions.index[predictions["arm"] == "regression"][:5]
        predictions.loc[rows, "predicted"] = [np.inf, -np.inf, np.nan, np.nan, np.inf]
    elif case == "binary":
        predictions["observed"] = (predictions["observed"] > 60).astype(float)
        predictions["predicted"] = 1 / (1 + np.exp(-(predictions["predicted"] - 60) / 10))
    base = make_comparison(dataset, predictions)
    if case == "failed arm":
        failed = ArmResult(
            "neural", "neural", {}, float("nan"), float("nan"), failures=("repeat 0, fold 1: out of memory",)
        )
        changes = {"arms": {**base.arms, "neural": failed}, "predictions": predictions[predictions["arm"] != "neural"]}
    elif case == "no predictions":
        changes = {"predictions": pd.DataFrame()}
    comparison = replace(base, **changes)
    page = render_page(comparison, build_figures(comparison, dataset))
    Outline(page)
    if case == "failed arm":
        assert "out of memory" in page
    if case == "infinite":
        assert "without a finite prediction" in page


@pytest.mark.slow
def test_a_million_judging_rows(tmp_path):
    rng = np.random.default_rng(0)
    dataset = make_dataset(1_000_000)
    y = dataset.frame["demand"].to_numpy()
    part = pd.DataFrame(
        {"repeat": 0, "fold": np.arange(len(y)) % 5, "row": np.arange(len(y)), "target": "demand", "observed": y}
    )
    part["n_train"] = 800_000
    predictions = pd.concat(
        [part.assign(arm=arm, predicted=y + rng.normal(0, 5, len(y))) for arm in ("regression", "neural")],
        ignore_index=True,
    )
    small = make_comparison()
    arms = {name: small.arms[name] for name in ("regression", "neural")}
    comparison = Comparison(**{**small.__dict__, "predictions": predictions, "arms": arms})
    begin = time.process_time()
    path = write_report(comparison, tmp_path / "report.html", dataset)
    print(f"report at 1,000,000 judging rows: {time.process_time() - begin:.1f} CPU seconds")
    assert path.stat().st_size < 1_500_000
    assert "4,000 of 1,000,000 rows are drawn" in path.read_text(encoding="utf-8")


@pytest.mark.parametrize("width", [1280, 400])
def test_a_browser_shows_it_without_complaint(report, width):
    shown = open_page(report.as_uri(), width=width)
    assert shown.complaints == []
    assert "The regression predicts demand better" in shown.html
    assert re.search(r'<button type="button" data-to="scores">', shown.html)  # its section was found
    assert re.search(r'<button type="button" data-to="generalization" hidden', shown.html)  # there is none


def test_the_sandbox_of_a_preview_is_enough(report, tmp_path):
    """MLflow shows a page in a frame that may run scripts and nothing else."""
    frame = tmp_path / "frame.html"
    text = report.read_text(encoding="utf-8").replace(
        "</body>", "<script>console.error('ran to the end')</script></body>"
    )
    (tmp_path / "report.html").write_text(text, encoding="utf-8")
    frame.write_text('<iframe sandbox="allow-scripts" src="report.html" width="900" height="800"></iframe>')
    said = open_page(frame.as_uri()).complaints
    assert len(said) == 1 and "ran to the end" in said[0]


def test_no_sideways_scrolling_on_a_phone(report, tmp_path):
    probe = "<script>document.title = 'wide ' + (document.documentElement.scrollWidth - innerWidth)</script></body>"
    page = tmp_path / "phone.html"
    page.write_text(report.read_text(encoding="utf-8").replace("</body>", probe), encoding="utf-8")
    excess = re.search(r"<title>wide (-?\d+)</title>", open_page(page.as_uri(), width=500).html)
    assert excess is not None and int(excess[1]) <= 0


@pytest.mark.parametrize("dark", [False, True])
def test_axe_finds_no_serious_fault(report, tmp_path, dark, pytestconfig):
    find_chromium()
    axe = find_axe(pytestconfig.cache.mkdir("axe"))
    run = """<pre id="faults"></pre><script>document.querySelectorAll('details').forEach(d => d.open = true);
        axe.run(document, RULES).then(r => document.getElementById('faults').textContent = JSON.stringify(
        r.violations.map(v => [v.id, v.impact, v.nodes.slice(0, 3).map(n => n.html.slice(0, 200))]))
        );</script></body>"""
    page = tmp_path / "axe.html"
    text = report.read_text(encoding="utf-8").replace("</body>", f"<script>{axe}</script>{run}")
    # Colours are all that differs in the dark.
    text = text.replace("RULES", "{runOnly: ['color-contrast']}" if dark else "{}")
    page.write_text(text, encoding="utf-8")
    found = re.search(r'<pre id="faults">(.*?)</pre>', open_page(page.as_uri(), dark=dark, wait=30_000).html, re.S)
    assert found is not None and found[1], "axe did not finish"
    faults = json.loads(found[1].replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&"))
    assert [fault for fault in faults if fault[1] in ("serious", "critical")] == []
