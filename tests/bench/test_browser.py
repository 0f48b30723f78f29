"""The report in a real browser: it works offline, sorts, fits a phone and runs nothing of what the records hold."""

from __future__ import annotations

import json
import re
import shutil
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ssl_av.bench.report import write_report

sync_api = pytest.importorskip("playwright.sync_api")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine"),
]

EVIL = "<script>document.title = 'run'</script>"
METHODS = ("brave", "stica", "crisscross", "avid", "cma", "random", "supervised")
PHONE, DESKTOP = {"width": 390, "height": 844}, {"width": 1280, "height": 900}


@pytest.fixture(scope="module")
def report(record: Callable[..., dict[str, Any]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report with all there can be in one: seeds, failures, skipped files, names that are code."""
    folder = tmp_path_factory.mktemp("suite")
    records = [record(method, seed) for method in METHODS for seed in range(3)]
    for one in records:
        one["data"] |= {"classes": 8, "names": [EVIL, *"bcdefgh"]}
        one["data"]["skipped"] = [{"path": f"{EVIL}.mp4", "reason": EVIL}]
    records.append({"method": EVIL, "seed": 0, "status": "failed", "error": EVIL})
    (folder / "records.jsonl").write_text("".join(json.dumps(one) + "\n" for one in records))
    suite = {
        "name": EVIL,
        "question": f"Which {EVIL}?",
        "methods": list(METHODS),
        "command": f"ssl-av {EVIL}",
    }
    (folder / "suite.json").write_text(json.dumps(suite))
    return write_report(folder)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as p:
        options = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        chromium = p.chromium.launch(executable_path=CHROMIUM, headless=True, args=options)
        yield chromium
        chromium.close()


@pytest.fixture
def opened(browser: Any, report: Path) -> Iterator[Callable[..., Any]]:
    """`opened(viewport, colour_scheme)` opens the report; whatever it asks for or complains of fails the test."""
    contexts, wrong = [], []

    def go(viewport: dict[str, int], colour_scheme: str = "light", **more: Any) -> Any:
        context = browser.new_context(viewport=viewport, color_scheme=colour_scheme, **more)
        contexts.append(context)
        page = context.new_page()
        page.on(
            "console", lambda said: wrong.append(said.text) if said.type in ("error", "warning") else None
        )
        page.on("pageerror", lambda error: wrong.append(str(error)))
        here = report.as_uri()
        page.on(
            "request",
            lambda asked: None if asked.url.startswith(("data:", here)) else wrong.append(asked.url),
        )
        page.goto(here)
        return page

    yield go
    for context in contexts:
        context.close()
    assert wrong == []


def column(page: Any, table: int, place: int) -> list[float | None]:
    """The values by which the methods' rows of a table are sorted."""
    return page.evaluate(
        """([table, place]) => [...document.querySelectorAll("table.sortable")[table]
            .querySelector("tbody.method").rows].map(row => +row.cells[place].dataset.value)""",
        [table, place],
    )  # type: ignore[no-any-return]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [PHONE, DESKTOP], ids=["phone", "desktop"])
def test_every_picture_loads_and_nothing_is_wider_than_the_screen(
    opened: Callable[..., Any], viewport: dict[str, int], scheme: str
) -> None:
    page = opened(viewport, scheme)
    pictures = page.evaluate(
        """() => Promise.all([...document.images].map(async image => {
            await image.decode();
            return [image.naturalWidth, image.alt];
        }))"""
    )
    assert len(pictures) >= 5
    assert all(width > 300 and alt for width, alt in pictures)
    narrow, dark = viewport is PHONE, scheme == "dark"
    picked = page.evaluate(
        """() => [...document.querySelectorAll("picture")].map(p => {
            const sources = [...p.querySelectorAll("source")].map(s => s.srcset);
            return sources.indexOf(p.querySelector("img").currentSrc);
        })"""
    )
    assert set(picked) == {
        {(True, True): 0, (False, True): 1, (True, False): 2, (False, False): -1}[narrow, dark]
    }
    names = page.evaluate("Math.max(...[...document.querySelectorAll('tbody th')].map(e => e.offsetWidth))")
    assert names < 0.45 * viewport["width"], "a long name leaves room for numbers"
    assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, paper[4:-1].split(", "))) < 200) == dark


def test_the_table_sorts_by_click_and_by_keyboard(opened: Callable[..., Any]) -> None:
    page = opened(DESKTOP)
    heads = page.locator("table.sortable").first.locator("thead tr").last.locator("th")
    given = column(page, 0, 2)
    heads.nth(2).locator("button").click()
    assert heads.nth(2).get_attribute("aria-sort") == "descending"
    assert column(page, 0, 2) == sorted(given, key=lambda value: -(value or 0))
    heads.nth(1).locator("button").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    assert heads.nth(1).get_attribute("aria-sort") == "ascending"
    assert heads.nth(2).get_attribute("aria-sort") is None
    assert column(page, 0, 1) == sorted(column(page, 0, 1), key=lambda value: value or 0)
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    assert heads.nth(2).get_attribute("aria-sort") == "descending"
    heads.nth(0).locator("button").click()
    assert column(page, 0, 2) == given
    words = page.locator("#collapse table.sortable")
    place = (
        words.locator("thead tr")
        .last.locator("th")
        .evaluate_all("heads => heads.findIndex(head => head.classList.contains('text'))")
    )
    for turn in ("ascending", "descending"):
        head = words.locator("thead tr").last.locator("th").nth(place)
        head.locator("button").click()
        assert head.get_attribute("aria-sort") == turn
        said = words.locator(f"tbody.method tr > :nth-child({place + 1})").all_text_contents()
        assert len(set(said)) > 1
        assert said == sorted(said, reverse=turn == "descending")
    last = page.locator("table.sortable").first.locator("tbody").last
    assert last.get_attribute("class") == "chance"


def test_values_appear_where_a_reader_points_and_stay_on_the_screen(opened: Callable[..., Any]) -> None:
    for viewport, more in ((DESKTOP, {}), (PHONE, {"has_touch": True})):
        page = opened(viewport, **more)
        spots = page.locator(".spots:visible").first.locator("i")
        texts = [spots.nth(n).get_attribute("data-tip") for n in range(spots.count())]
        assert any(text.startswith("AVID: 6") and " ± " in text for text in texts)
        for place in (0, spots.count() - 1):
            spot = spots.nth(place)
            spot.tap() if more else spot.hover()
            shown = spot.evaluate("spot => getComputedStyle(spot, '::after').content")
            assert json.loads(shown) == texts[place]
            assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]
    cell = page.locator("td[title*='seed 1: ']").first
    assert cell.count() == 1


def test_names_are_shown_and_not_run(opened: Callable[..., Any]) -> None:
    page = opened(DESKTOP)
    assert page.title() != "run"
    assert page.title().startswith(EVIL)
    said = page.locator("body").text_content()
    assert said.count(EVIL) >= 5
    assert page.locator("script").count() == 1


def test_without_a_mouse(opened: Callable[..., Any]) -> None:
    """Every link, button and scrolled table can be reached by the Tab key, and is seen to be."""
    page = opened(PHONE)
    wanted = page.locator("a, button, summary, .scroll").count()
    reached = set()
    for _ in range(wanted + 5):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("[...document.querySelectorAll('*')].indexOf(document.activeElement)"))
    assert len(reached) >= wanted
    links = page.evaluate(
        "[...document.querySelectorAll('nav a')].map(a => !!document.querySelector(a.hash))"
    )
    assert len(links) >= 8
    assert all(links)


def test_on_paper(opened: Callable[..., Any]) -> None:
    page = opened(DESKTOP, "dark")
    page.emulate_media(media="print", color_scheme="dark")
    assert page.evaluate("getComputedStyle(document.body).color") == "rgb(29, 33, 41)"
    assert not page.locator("nav").is_visible()
    assert len(page.pdf(format="A4")) > 10_000


def test_the_first_print_from_a_dark_screen_has_light_figures(opened: Callable[..., Any]) -> None:
    page = opened(DESKTOP, "dark")
    assert page.locator("figure picture").first.is_visible()
    shades = brightness(page.pdf(format="A4"))
    assert len(shades) >= 5
    assert min(shades) > 180, "of 255: ink on white paper"


def brightness(pdf: bytes) -> list[float]:
    """Mean value of the samples of each large picture in a PDF."""
    found = []
    for head in re.finditer(rb"<<[^>]*?/Subtype\s*/Image.*?>>\s*stream\r?\n", pdf, re.DOTALL):
        width, length = (
            int(re.search(key + rb" (\d+)", head[0])[1])  # type: ignore[index]
            for key in (rb"/Width", rb"/Length")
        )
        if width > 500 and b"/FlateDecode" in head[0]:
            samples = zlib.decompress(pdf[head.end() : head.end() + length])[::997]
            found.append(sum(samples) / len(samples))
    return found


def test_a_table_of_many_columns_fits_on_paper(opened: Callable[..., Any]) -> None:
    page = opened({"width": 703, "height": 900})  # A4 within the page's margins
    page.emulate_media(media="print")
    for columns in (15, 18, 23, 30):  # the widest usual font, DejaVu, asks for the most room
        wide = page.evaluate(
            """columns => {
                const scroll = document.querySelector(".scroll");
                for (const row of [...scroll.querySelectorAll("tr")].slice(1))
                    while (row.cells.length < columns) row.append(row.cells[2].cloneNode(true));
                return [scroll.scrollWidth, scroll.clientWidth];
            }""",
            columns,
        )
        assert wide[0] <= wide[1] + 1, columns  # a border is rounded
