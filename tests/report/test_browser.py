"""The page in a browser: headless Chromium, where one is installed."""

import base64
import shutil
from itertools import pairwise
from pathlib import Path

import pytest

from wideflow.report import write_diagnosis, write_lecture, write_report

pytestmark = pytest.mark.browser

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
)
SIZE = "return [document.documentElement.scrollWidth, innerWidth]"
WIDTHS = "return [...document.images].map(image => [image.alt, image.naturalWidth])"
INKS = """
const done = arguments[arguments.length - 1];
Promise.all([...document.images].map(async image => {
  await image.decode();
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [300, 200];
  const pen = canvas.getContext("2d");
  pen.drawImage(image, 0, 0, 300, 200);
  const pixels = pen.getImageData(0, 0, 300, 200).data;
  const colours = new Set();
  for (let i = 0; i < pixels.length; i += 4) colours.add(pixels.slice(i, i + 4).join());
  return colours.size;
})).then(done);
"""
TEXTS = """
const ground = element => {
  const colour = getComputedStyle(element).backgroundColor;
  return colour !== "rgba(0, 0, 0, 0)" || !element.parentElement ? colour : ground(element.parentElement);
};
const said = element => [...element.childNodes].some(node => node.nodeType === 3 && node.data.trim());
const found = new Map();
for (const element of document.querySelectorAll("body *")) {
  const style = getComputedStyle(element);
  if (!said(element) || !element.checkVisibility() || ["SCRIPT", "STYLE"].includes(element.tagName)) continue;
  found.set(style.color + ground(element), [element.outerHTML.slice(0, 60), style.color, ground(element)]);
}
return [...found.values()];
"""
LOADED = (
    "return performance.getEntriesByType('resource').map(one => one.name).filter(name => !name.startsWith('data:'))"
)
LEVELS = "return [...document.querySelectorAll('h1, h2, h3, h4')].map(one => Number(one.tagName[1]))"
NAMELESS = """
const named = element => element.getAttribute("aria-label") || element.textContent.trim();
const controls = [...document.querySelectorAll("a, button, input, summary, nav")].filter(one => !named(one));
return controls.concat([...document.images].filter(image => !image.alt)).map(one => one.outerHTML.slice(0, 80));
"""
SHOWN = "return [...document.querySelectorAll('.frame:not([hidden]) img')].map(image => image.src)"
CLIPPED = """
return [...document.querySelectorAll("body *")].filter(element => {
  const box = element.getBoundingClientRect();
  return box.width > 0 && element.className !== "skip" && (box.left < -0.5 || box.right > innerWidth + 0.5);
}).map(element => element.outerHTML.slice(0, 80))
"""


@pytest.fixture(scope="module")
def driver(tmp_path_factory):
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    if BROWSER is None or DRIVER is None:
        pytest.skip("Chromium and its driver are not installed")
    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()


@pytest.fixture
def opened(driver, report):
    driver.get(report.as_uri())
    driver.get_log("browser")
    return driver


def _resize(driver, width):
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)


def _visible(driver):
    """Labels of the frames that can be seen."""
    frames = driver.find_elements("css selector", ".frame")
    return [frame.get_attribute("data-label") for frame in frames if frame.is_displayed()]


def _press(driver, key):
    driver.execute_script("document.querySelector('input[type=range]').focus()")
    driver.switch_to.active_element.send_keys(key)


def test_page_opens_without_a_word_in_the_console(driver, report):
    driver.get(report.as_uri())
    assert driver.get_log("browser") == []


def test_every_image_is_drawn(opened):
    sizes = opened.execute_script(WIDTHS)
    assert len(sizes) == 7 + 2 + 7  # frames, ends, figures
    assert all(width > 0 for _, width in sizes)


def test_slider_moves_frame_and_label(opened, results):
    from selenium.webdriver import Keys

    steps = results["line"]["steps"]
    for key, step in (
        (Keys.HOME, steps[0]),
        (Keys.ARROW_RIGHT, steps[1]),
        (Keys.END, steps[-1]),
        (Keys.ARROW_LEFT, steps[-2]),
    ):
        _press(opened, key)
        (label,) = _visible(opened)
        assert label.startswith(f"step {step} · t = ")
        assert opened.find_element("css selector", "output").text == label
        assert opened.find_element("css selector", "input").get_attribute("aria-valuetext") == label
    assert opened.get_log("browser") == []


def test_play_starts_at_the_first_frame_and_stops(opened):
    button = opened.find_element("css selector", "[data-play]")
    button.click()
    assert _visible(opened)[0].startswith("step 0 ")
    assert "Pause" in button.text
    button.click()
    assert "Play" in button.text
    assert opened.get_log("browser") == []


@pytest.mark.parametrize("width", [320, 360, 768, 1400])
def test_page_fits_the_width_of_the_window(opened, width):
    _resize(opened, width)
    assert opened.execute_script(SIZE) == [width, width]
    assert [one for one in opened.execute_script(CLIPPED) if "skip" not in one] == []


@pytest.mark.parametrize("width", [360, 1400])
def test_long_words_do_not_widen_the_page(driver, results, tmp_path, width):
    word = "a-long-word-without-a-break/" * 20
    kept = {"settings": {"out": word, word: 1}, "command": word, "title": word, "status_note": word}
    kept["verdicts"] = [{**verdict, "measured": word, "title": word} for verdict in results["verdicts"]]
    driver.get(write_report({**kept, "status": "interrupted"}, tmp_path).as_uri())
    _resize(driver, width)
    assert driver.execute_script(SIZE) == [width, width]
    assert [one for one in driver.execute_script(CLIPPED) if "skip" not in one] == []


@pytest.fixture(scope="module")
def pages(report, lecture_results, diagnosis_results, tmp_path_factory):
    folder = tmp_path_factory.mktemp("pages")
    return {
        "compare": report,
        "diagnose": write_diagnosis(diagnosis_results, folder / "diagnose"),
        "lecture": write_lecture(lecture_results, folder / "lecture"),
    }


PAGES = pytest.mark.parametrize("page", ["compare", "diagnose", "lecture"])


@pytest.fixture
def emulated(driver):
    """Emulate a medium or a colour scheme until the test ends."""

    def emulate(media="", scheme=None):
        features = [{"name": "prefers-color-scheme", "value": scheme}] if scheme else []
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": media, "features": features})

    yield emulate
    emulate()


@PAGES
def test_text_stands_out_from_its_ground(driver, pages, page, emulated):
    driver.get(pages[page].as_uri())
    driver.execute_script("document.querySelectorAll('details').forEach(one => one.open = true)")
    grounds = {}
    for scheme in ("light", "dark"):
        emulated(scheme=scheme)
        texts = driver.execute_script(TEXTS)
        assert len(texts) > 4
        for element, ink, ground in texts:
            assert _contrast(ink, ground) >= 4.5, (scheme, element)
        grounds[scheme] = driver.execute_script("return getComputedStyle(document.body).backgroundColor")
        figure = driver.execute_script("return getComputedStyle(document.querySelector('.card img')).filter")
        assert (figure == "none") == (scheme == "light")
    assert _luminance(grounds["dark"]) < 0.05 < 0.8 < _luminance(grounds["light"])


@PAGES
def test_page_loads_nothing_and_makes_sense_to_a_screen_reader(driver, pages, page):
    driver.get(pages[page].as_uri())
    assert driver.execute_script(LOADED) == []
    levels = driver.execute_script(LEVELS)
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    assert driver.execute_script(NAMELESS) == []
    assert driver.execute_script("return document.documentElement.lang") == "en"
    assert len(driver.find_elements("css selector", "header, main")) == 2


@PAGES
def test_first_stop_of_the_keyboard_skips_to_the_results(driver, pages, page):
    from selenium.webdriver import Keys

    driver.get(pages[page].as_uri())
    driver.switch_to.active_element.send_keys(Keys.TAB)
    link = driver.switch_to.active_element
    assert link.text == "Skip to the results"
    assert link.rect["x"] >= 0
    assert driver.execute_script("return getComputedStyle(document.activeElement).outlineStyle") == "solid"
    link.send_keys(Keys.ENTER)
    assert driver.execute_script("return location.hash") == "#main"


def _contrast(first, second):
    """The contrast ratio of WCAG 2.1, from 1 to 21."""
    darker, lighter = sorted(_luminance(colour) for colour in (first, second))
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour):
    parts = [int(part) / 255 for part in colour[colour.index("(") + 1 : -1].split(",")[:3]]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def test_print_shows_the_chosen_frame_and_the_panels_without_controls(opened):
    opened.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    shown = {s: opened.find_element("css selector", s).is_displayed() for s in (".print-only", "[data-play]", "input")}
    assert shown == {".print-only": True, "[data-play]": False, "input": False}
    assert len(_visible(opened)) == 1
    pdf = base64.b64decode(opened.execute_cdp_cmd("Page.printToPDF", {})["data"])
    opened.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
    assert pdf.startswith(b"%PDF")


def test_links_lead_to_files_beside_the_page(opened, report):
    links = opened.execute_script("return [...document.links].map(link => link.getAttribute('href'))")
    files = {link for link in links if not link.startswith("#")} - {"results.json"}  # written by the caller
    assert files
    assert all(Path(report.parent / link).is_file() for link in files)


def test_page_of_a_diagnosis_opens_silently_and_fits_any_window(driver, diagnosis_results, tmp_path):
    driver.get(write_diagnosis(diagnosis_results, tmp_path).as_uri())
    assert driver.get_log("browser") == []
    assert [width > 0 for _, width in driver.execute_script(WIDTHS)] == [True] * 5
    for width in (320, 360, 1400):
        _resize(driver, width)
        assert driver.execute_script(SIZE) == [width, width]
        assert [one for one in driver.execute_script(CLIPPED) if "skip" not in one] == []


@pytest.fixture
def lecture(driver, pages):
    driver.get(pages["lecture"].as_uri())
    return driver


def test_page_of_the_lecture_opens_silently_with_every_figure_drawn(lecture):
    assert lecture.get_log("browser") == []
    assert len(lecture.execute_script(WIDTHS)) == 2 * 2 + 4 + 1  # panels, frames, what is printed of the frames
    assert min(lecture.execute_async_script(INKS)) > 10  # a blank picture has one colour


def test_every_statement_has_its_verdict_and_every_entry_of_the_contents_leads_to_it(lecture, lecture_results):
    links = lecture.execute_script("return [...document.querySelectorAll('nav a')].map(a => a.getAttribute('href'))")
    assert all(lecture.find_elements("css selector", link) for link in links)
    badges = [badge.text for badge in lecture.find_elements("css selector", "article .badge")]
    assert badges == ["✓ HOLDS", "✗ FAILS", "– NOT RUN"]
    assert "not at hand" in lecture.find_element("id", "absent").text


def test_correction_tells_the_slide_from_what_is_true(lecture):
    rows = [row.text.split("\n") for row in lecture.find_elements("css selector", "#fails .finding div")]
    assert rows[:3] == [["The slide", "says O(N−½)."], ["What is true", "It is O(1/N)."], ["Measured", "x" * 300]]


def test_slider_of_the_lecture_moves_its_frame(lecture):
    from selenium.webdriver import Keys

    seen = set()
    for key, width in ((Keys.HOME, 64), (Keys.ARROW_RIGHT, 128), (Keys.END, 512)):
        _press(lecture, key)
        assert _visible(lecture) == [f"width {width}"]
        seen |= set(lecture.execute_script(SHOWN))
    assert len(seen) == 3
    assert lecture.get_log("browser") == []


@pytest.mark.parametrize("width", [320, 360, 1400])
def test_page_of_the_lecture_fits_the_width_of_the_window(lecture, width):
    _resize(lecture, width)
    lecture.execute_script("document.querySelectorAll('details').forEach(one => one.open = true)")
    assert lecture.execute_script(SIZE) == [width, width]
    assert [one for one in lecture.execute_script(CLIPPED) if "skip" not in one] == []


def test_lecture_on_paper_is_open_and_has_all_frames_at_once(lecture, emulated):
    assert lecture.execute_script("return document.querySelectorAll('details[open]').length") == 0
    watch = (
        "window.open_ = 0; addEventListener('beforeprint', () => open_ = document.querySelectorAll('[open]').length)"
    )
    lecture.execute_script(watch)
    pdf = base64.b64decode(lecture.execute_cdp_cmd("Page.printToPDF", {})["data"])
    assert pdf.startswith(b"%PDF")
    assert lecture.execute_script("return open_") == 2 * 3
    assert lecture.execute_script("return document.querySelectorAll('details[open]').length") == 0
    emulated(media="print")
    assert _visible(lecture) == []
    shown = {s: lecture.find_element("css selector", s).is_displayed() for s in (".print-only", "[data-play]", ".up")}
    assert shown == {".print-only": True, "[data-play]": False, ".up": False}
