"""The HTML report: complete, closed to the outside, true to its records; then in a real browser."""

from __future__ import annotations

import base64
import hashlib
import re
import shutil
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import reports
from reports import TIMING
from reports import failed_record as failed
from toy import PIXEL, Invoke, write_toy

from adbench.report.html.document import document
from adbench.report.html.pictures import Budget, gallery_views
from adbench.report.report import Report
from adbench.report.reported import published_numbers
from adbench.store.records import Record

HOSTILE = '</script><img src=x onerror="window.broken=1">\'"&<b>{{7*7}}'
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
URL_ATTRIBUTES = {"src", "href", "srcset", "data", "action", "poster", "formaction", "xlink:href"}


def make_record(
    method: str = "m", category: str = "a", value: float | None = 0.5, **changes: Any
) -> Record:
    """A finished record of six images."""
    images = {
        "id": [f"{category}/test/{i}.png" for i in range(6)], "category": [category] * 6,
        "label": [0, 0, 0, 1, 1, 1], "defect": ["good"] * 3 + ["hole"] * 3,
        "score": [0.1, 0.4, "-inf", 0.3, 0.9, "inf"],
    }  # fmt: skip
    environment = {"adbench": "0.1.0", "git": {"commit": "c" * 40, "dirty": True}}
    defaults = {"preset": "paper", "images": images, "environment": environment}
    return reports.make_record(method, category, value, **(defaults | changes))


class Page(HTMLParser):
    """What a document holds, as a browser's tokenizer sees it."""

    VOID = frozenset({"meta", "img", "input", "br", "wbr"})

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.texts: list[str] = []
        self.raw: dict[str, str] = {}
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open[-1] == tag, f"</{tag}> closes {self.open[-3:]}"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in ("script", "style"):
            self.raw[self.open[-1]] = self.raw.get(self.open[-1], "") + data
        else:
            self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def check_closed(page: Page) -> None:
    """Nothing leads outside, nothing runs but our one script, every link has its target."""
    assert page.open == []
    assert len(page.of("script")) == 1 and page.of("script")[0] == {}
    assert len(page.of("style")) == 1
    ids = [a["id"] for _, a in page.tags if "id" in a]
    assert len(ids) == len(set(ids))
    for tag, attributes in page.tags:
        assert tag not in ("link", "iframe", "object", "embed", "base", "form", "video", "audio")
        assert not [name for name in attributes if name.startswith("on") or name == "style"]
        for name in URL_ATTRIBUTES & set(attributes):
            value = attributes[name] or ""
            assert value.startswith("data:image/") or value[1:] in ids and value[0] == "#", value
        if tag == "img":
            assert attributes.get("alt")
    policy = next(a["content"] for a in page.of("meta") if "http-equiv" in a) or ""
    assert "default-src 'none'" in policy and "unsafe" not in policy
    for tag in ("script", "style"):
        digest = base64.b64encode(hashlib.sha256(page.raw[tag].encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
        assert not re.search(r"https?:|//[a-z]|url\(|@import", page.raw[tag].replace("// ", ""))


def render(records: list[Record], tmp_path: Path, **options: Any) -> Page:
    page = Page(document(Report(records, **options), tmp_path))
    check_closed(page)
    return page


# ------------------------------------------------------------------------------ the records


def test_a_report_shows_tables_timing_notes_protocols_and_cells(tmp_path: Path) -> None:
    records = [make_record("m", c, v) for c, v in (("a", 0.5), ("b", 0.75))]
    records += [make_record("other", c, 0.9, protocol={"image_size": 64}) for c in "ab"]
    page = render(records, tmp_path)
    text = page.text
    assert (
        "toy, separate, preset paper (%, seed 0)" in text
        and "62.50" in text
        and "mean of 2" in text
    )
    assert "toy: where the protocols differ" in text and "image size" in text
    assert "images resized to 64" in text and f"commit {'c' * 10} with changes" in text
    assert "No timing" in text and "Smoke preset" not in text
    # A row links to the cell behind it; the mean has no single one.
    links = [a["href"] for a in page.of("a") if (a["href"] or "").startswith("#cell-")]
    assert links == ["#cell-1", "#cell-3", "#cell-2", "#cell-4"]
    # Infinite scores are counted and not drawn.
    described = [a["aria-label"] or "" for a in page.of("svg") if "aria-label" in a]
    assert any("2 scores not finite, from 0.1 to 0.9" in text for text in described)
    paths = [a["d"] or "" for a in page.of("path")]
    assert paths and not any("nan" in path or "inf" in path for path in paths)


def test_smoke_and_limited_records_carry_their_banner(tmp_path: Path) -> None:
    text = render([make_record(preset="smoke")], tmp_path).text
    assert "Their scores mean nothing" in text and "Their scores compare" not in text
    text = render([make_record(limit=4)], tmp_path).text
    assert "Their scores compare with nothing" in text and "mean nothing" not in text


def test_hostile_text_is_shown_as_text(tmp_path: Path) -> None:
    records = [
        make_record(HOSTILE, HOSTILE, hyperparameters={HOSTILE: HOSTILE}, variant=HOSTILE),
        make_record("m", HOSTILE, protocol={"backbone": HOSTILE}, diagnostics={HOSTILE: HOSTILE}),
        failed(HOSTILE, HOSTILE),
    ]
    page = render(records, tmp_path)
    assert not page.of("img") and not page.of("b") == [{"onerror": ""}]
    # All of it is there to be read, from the tables to the traceback.
    assert page.text.count("</script><img src=x onerror=") > 10
    assert "{{7*7}}" in page.text and "49" not in page.text.replace(HOSTILE, "")


@pytest.mark.parametrize(
    "records",
    [
        [],
        [make_record(value=None), failed("日本"), make_record("ü", "категория")],
        [make_record(images={})],
        [make_record(status="skipped", reason="too few images", metrics={}, images={})],
    ],
    ids=["none", "undefined and failed", "no images", "skipped"],
)
def test_whatever_a_folder_holds_there_is_a_report(records: list[Record], tmp_path: Path) -> None:
    text = render(records, tmp_path).text
    for record in records:
        assert record.identity["categories"][0] in text
        assert (record.reason or "") in text
        if record.failure is not None:
            assert record.failure.message in text and "File x.py" in text


def test_published_numbers_stand_apart_and_the_best_of_two_in_a_cell_is_bold(
    tmp_path: Path,
) -> None:
    records = [
        make_record(method, category, value, dataset="mpdd")
        for method, value in (("patchcore", 0.75), ("lafite", 0.5))
        for category in ("metal_plate", "tubes")
    ]

    def reported(page: Page, tag: str) -> bool:
        return any("reported" in (a.get("class") or "") for a in page.of(tag))

    assert not reported(render(records, tmp_path), "tr")
    assert reported(render(records, tmp_path, published=published_numbers()), "tr")
    page = render(records, tmp_path, layout="paper", transpose=False,
                  published=published_numbers())  # fmt: skip
    assert "75.00 / 75.00" in page.text and "50.00 / 50.00" in page.text
    assert len(page.of("b")) >= 2 * 3  # both numbers, of two categories and their mean
    assert reported(page, "td")


def test_plots_are_drawn_where_there_is_enough_and_explained_where_not(tmp_path: Path) -> None:
    records = [
        make_record(method, f"c{c}", 0.5 + i / 10 + c / 100, timing=TIMING)
        for i, method in enumerate(("low", "middle", "high"))
        for c in range(8)
    ]
    alts = [a["alt"] or "" for a in render(records, tmp_path).of("img")]
    assert any("Accuracy against latency: toy, separate, GPU" in alt for alt in alts)
    assert any("Average ranks: high 1.00, middle 2.00, low 3.00" in alt for alt in alts)
    few = render(records[:2], tmp_path).text
    assert "not drawn; found 1 method with 2 categories in common" in few


def test_curves_beyond_the_limit_are_left_out_and_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adbench.report.html.charts.MAX_CATEGORIES", 2)
    monkeypatch.setattr("adbench.report.html.charts.MAX_METHODS", 1)
    records = [make_record(m, c) for c in "abc" for m in ("one", "two")]
    text = render(records, tmp_path).text
    assert "curves of toy: c." in text and text.count("the first 1 of 2 methods") == 2


def test_the_same_records_give_the_same_file(tmp_path: Path) -> None:
    records = [make_record(), failed()]
    assert document(Report(records), tmp_path) == document(Report(records), tmp_path)


# ----------------------------------------------------------------------------- the pictures


@pytest.fixture(scope="module")
def drawn_once(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Record]]:
    """A results folder with figures of two methods on two categories, and its records."""
    from adbench.api import execute
    from adbench.cli.figures import draw_run
    from adbench.crew.reporter import Reporter
    from adbench.request import Request
    from adbench.store.folders import Store
    from adbench.store.newest import latest

    folder = tmp_path_factory.mktemp("drawn")
    toy = write_toy(folder / "data")
    request = Request(
        f"{PIXEL},{PIXEL}[noise=0.5]", (toy.reference,), preset="smoke", device="cpu",
        data_root=toy.folder, results=folder / "results", cache_folder=folder / "cache",
        keep_maps=True, timing=False,
    )  # fmt: skip
    result = execute(request, request.plan(), Reporter())
    draw_run(result.records, request.results, request.open_cache(), "cpu")
    return request.results, latest(Store(request.results).records())


@pytest.fixture
def drawn(drawn_once: tuple[Path, list[Record]], tmp_path: Path) -> tuple[Path, list[Record]]:
    """A copy of its own for each test."""
    shutil.copytree(drawn_once[0], tmp_path / "results")
    return tmp_path / "results", drawn_once[1]


def test_the_command_embeds_figures_with_their_texts_and_names_no_folder(
    drawn: tuple[Path, list[Record]], invoke: Invoke
) -> None:
    results, _ = drawn
    outcome = invoke("report", "--format", "html", "--out", "report.html")
    assert outcome.code == 0, outcome.err
    text = (results.parent / "report.html").read_text(encoding="utf-8")
    page = Page(text)
    check_closed(page)
    assert str(results.parent) not in text
    assert "Contact sheet, toy: a" in page.text and "worst defect" in page.text
    assert "for display only" in page.text and "Their scores mean nothing" in page.text
    kinds = [(a.get("class") or "").split()[:1] for a in page.of("img")]
    assert kinds.count(["map"]) == 2 * kinds.count(["input"]) == 2 * kinds.count(["mask"]) == 24
    assert [a["aria-label"] for a in page.of("svg") if "PRO" in (a.get("aria-label") or "")]


def test_pictures_of_other_runs_are_left_out_and_said(
    drawn: tuple[Path, list[Record]],
) -> None:
    results, records = drawn
    one = [r for r in records if not r.variant]
    page = render(one, results)
    assert {a["data-of"] for a in page.of("img") if "data-of" in a} == {"pixel_gaussian"}
    assert "The sheet also shows pixel_gaussian, noise=0.5, not in this report." in page.text
    other = [r.model_copy(update={"keys": {**r.keys, "score": "other"}}) for r in records]
    page = render(other, results)
    assert (
        not page.of("img") and "of other runs than these: pictures of toy: a, toy: b" in page.text
    )


def test_what_does_not_fit_a_mail_and_what_is_damaged_is_left_out_and_said(
    drawn: tuple[Path, list[Record]],
) -> None:
    results, records = drawn
    budget = Budget(left=1000)
    views, curves = gallery_views(records, results / "figures", budget)
    assert views == [] and len(curves) == 2 and budget.left == 1000
    assert "toy: a, toy: b" in budget.notes[0] and "too large" in budget.notes[0]
    (results / "figures" / "gallery" / "toy-a.json").write_text("{")
    (results / "figures" / "toy-b.png").unlink()
    page = render(records, results)
    assert "toy-b.png cannot be read" in page.text
    assert not [a for a in page.of("img") if "a/test" in (a["alt"] or "")]
    assert [a for a in page.of("img") if "b/test" in (a["alt"] or "")]


# ------------------------------------------------------------------------------ in a browser


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Headless Chromium, or a skip that says what to install."""
    api = pytest.importorskip("playwright.sync_api", reason="pip install playwright")
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        pytest.skip(f"no browser on PATH: expected one of {', '.join(BROWSERS)}")
    with api.sync_playwright() as playwright:
        # As root in a container there is no sandbox; the page is ours and loads nothing.
        started = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def visit(browser: Any) -> Iterator[Callable[..., Any]]:
    """Opens a file; what must not happen while it is open fails the test at its end."""
    troubles: list[str] = []

    def asked(request: Any) -> None:
        if not request.url.startswith(("file:", "data:")):
            troubles.append(f"request to {request.url}")

    def opened(path: Path, **options: Any) -> Any:
        page = browser.new_page(**({"viewport": {"width": 1200, "height": 900}} | options))
        page.on("console", lambda m: troubles.append(f"{m.type}: {m.text}"))
        page.on("pageerror", lambda e: troubles.append(str(e)))
        page.on("dialog", lambda d: troubles.append(f"dialog {d.message}"))
        page.on("request", asked)
        page.goto(path.as_uri())
        return page

    yield opened
    for context in browser.contexts:
        context.close()
    assert troubles == []


@pytest.fixture(scope="module")
def report(drawn_once: tuple[Path, list[Record]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report with pictures, a failure and hostile names."""
    results, records = drawn_once
    values = {"c": 0.9, "d": None, "e": 0.1, HOSTILE: 0.5}
    more = [make_record("m", name, value, dataset="other") for name, value in values.items()]
    path = tmp_path_factory.mktemp("report") / "report.html"
    own = Report([*records, *more, failed(HOSTILE, HOSTILE)])
    path.write_text(document(own, results), "utf-8")
    return path


def test_browser_shows_it_without_error_request_or_injected_code(
    visit: Callable[..., Any], report: Path
) -> None:
    page = visit(report)
    assert page.evaluate("window.broken") is None
    broken = "[...document.images].filter(i => !i.complete || !i.naturalWidth).length"
    assert page.evaluate(broken) == 0 and page.evaluate("document.images.length") > 9
    # On a phone it scrolls down only.
    for width in (320, 390):
        page.set_viewport_size({"width": width, "height": 800})
        page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
        assert page.evaluate("document.documentElement.scrollWidth") == width


def test_browser_sorts_a_table_and_restores_it(visit: Callable[..., Any], report: Path) -> None:
    page = visit(report)
    table = page.locator("figure.table", has_text="other, separate").locator("table")
    head = table.locator("thead th").nth(2)

    def column() -> list[str]:
        cells = table.locator("tbody tr > :nth-child(3)").all_inner_texts()
        return [text.strip() for text in cells]

    before, orders = column(), []
    for _ in range(3):
        head.locator("button").focus()
        page.keyboard.press("Enter")
        orders.append((head.get_attribute("aria-sort"), column()))
    (down, largest), (up, smallest), (none, restored) = orders
    assert (down, up, none) == ("descending", "ascending", None) and restored == before
    assert largest[:2] == ["90.00", "50.00"] and largest[-1] == smallest[-1] == "–"
    assert smallest[0] == "10.00" and sorted(largest) == sorted(before)


def test_browser_slider_goes_from_image_to_map_to_mask(
    visit: Callable[..., Any], report: Path
) -> None:
    page = visit(report)
    case = page.locator(".case").first

    def opacities() -> list[float]:
        return [
            float(case.locator(s).evaluate("e => getComputedStyle(e).opacity"))
            for s in (".input", ".map:not(.unchosen)", ".mask")
        ]

    slider = case.locator("input[type=range]")
    seen = {}
    for value in ("0", "100", "200"):
        slider.fill(value)
        seen[slider.get_attribute("aria-valuetext")] = opacities()
    assert seen == {"image": [1, 0, 0], "map": [1, 1, 0], "ground truth": [1, 1, 1]}
    slider.focus()
    page.keyboard.press("ArrowLeft")
    assert slider.input_value() == "199" and opacities()[2] < 1
    page.locator("[data-method]").first.select_option("pixel_gaussian, noise=0.5")
    shown = case.locator(".map:not(.unchosen)").get_attribute("data-of")
    assert shown == "pixel_gaussian, noise=0.5" and case.locator(".score:visible").count() == 1
    page.locator("[data-all]").first.fill("0")
    assert opacities()[1] == 0


def test_browser_opens_the_cell_behind_a_row_and_filters_cells(
    visit: Callable[..., Any], tmp_path: Path
) -> None:
    records = [make_record("m", f"c{c}", seed=s) for c in range(8) for s in range(2)]
    path = tmp_path / "report.html"
    path.write_text(document(Report(records), tmp_path), "utf-8")
    page = visit(path)
    page.locator("table.sortable a", has_text="m").nth(3).click()
    opened = page.locator("details.cell[open]")
    opened.wait_for()
    assert opened.count() == 1 and "toy: c3" in opened.locator("summary").inner_text()
    opened.locator("a", has_text="environment 1").click()
    assert page.locator("#environment-1").is_visible()
    page.locator("#cells input[type=search]").fill('c3 "seed 1"')
    assert page.locator("details.cell:visible").count() == 1
    assert page.locator("#cells output").inner_text() == "1 of 16"


def test_browser_without_script_shows_every_picture(
    visit: Callable[..., Any], report: Path
) -> None:
    case = visit(report, java_script_enabled=False).locator(".case").first
    assert all(case.locator("img").nth(i).is_visible() for i in range(4))
    assert not case.locator("input").is_visible()


def test_browser_prints_what_is_closed_on_screen_and_follows_the_readers_colours(
    visit: Callable[..., Any], report: Path
) -> None:
    page = visit(report, color_scheme="dark")
    ground = "getComputedStyle(document.body).backgroundColor"
    assert page.evaluate(ground) == "rgb(20, 24, 28)"
    page.emulate_media(color_scheme="light")
    assert page.evaluate(ground) == "rgb(255, 255, 255)"
    content = page.pdf(format="A4")
    assert content.startswith(b"%PDF") and len(content) > 50_000
    page.emulate_media(media="print")
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    assert page.locator("#protocol-1").is_visible() and not page.locator("nav").is_visible()
    page.evaluate("window.dispatchEvent(new Event('afterprint'))")
    assert not page.locator("#protocol-1").is_visible()
