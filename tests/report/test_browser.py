"""The page in a browser: headless Chromium, where one is installed."""

import base64
import shutil
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
COLOURS = """
const style = getComputedStyle(document.querySelector(arguments[0]));
return [style.color, style.backgroundColor];
"""
CLIPPED = """
return [...document.querySelectorAll("body *")].filter(element => {
  const box = element.getBoundingClientRect();
  return box.width > 0 && (box.left < -0.5 || box.right > innerWidth + 0.5);
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
    assert opened.execute_script(CLIPPED) == []


@pytest.mark.parametrize("width", [360, 1400])
def test_long_words_do_not_widen_the_page(driver, results, tmp_path, width):
    word = "a-long-word-without-a-break/" * 20
    kept = {"settings": {"out": word, word: 1}, "command": word, "title": word, "status_note": word}
    kept["verdicts"] = [{**verdict, "measured": word, "title": word} for verdict in results["verdicts"]]
    driver.get(write_report({**kept, "status": "interrupted"}, tmp_path).as_uri())
    _resize(driver, width)
    assert driver.execute_script(SIZE) == [width, width]
    assert driver.execute_script(CLIPPED) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_ground(opened, scheme):
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    opened.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    for selector in ("body", ".badge.pass", ".badge.fail", ".badge.not-run", ".end"):
        ink, ground = opened.execute_script(COLOURS, selector)
        if selector == ".end":  # on the white of the figure, whatever the scheme
            ground = "rgb(255, 255, 255)"
        assert _contrast(ink, ground) >= 4.5, selector


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
        assert driver.execute_script(CLIPPED) == []


@pytest.fixture
def lecture(driver, lecture_results, tmp_path):
    driver.get(write_lecture(lecture_results, tmp_path).as_uri())
    return driver


def test_page_of_the_lecture_opens_silently_with_every_figure_drawn(lecture):
    assert lecture.get_log("browser") == []
    assert len(lecture.execute_script(WIDTHS)) == 2 + 4 + 1  # figures, frames, what is printed of the frames
    assert min(lecture.execute_async_script(INKS)) > 10  # a blank picture has one colour


def test_every_statement_has_its_verdict_and_every_entry_of_the_contents_leads_to_it(lecture, lecture_results):
    links = lecture.execute_script("return [...document.querySelectorAll('nav a')].map(a => a.getAttribute('href'))")
    assert all(lecture.find_elements("css selector", link) for link in links)
    badges = [badge.text for badge in lecture.find_elements("css selector", "article .badge")]
    assert badges == ["✓ HOLDS", "✗ FAILS", "– NOT RUN"]
    assert "The slide says" in lecture.find_element("id", "fails").text
    assert "not at hand" in lecture.find_element("id", "absent").text


def test_slider_of_the_lecture_moves_its_frame(lecture):
    from selenium.webdriver import Keys

    for key, width in ((Keys.HOME, 64), (Keys.ARROW_RIGHT, 128), (Keys.END, 512)):
        _press(lecture, key)
        assert _visible(lecture) == [f"width {width}"]
    assert lecture.get_log("browser") == []


@pytest.mark.parametrize("width", [360, 1400])
def test_page_of_the_lecture_fits_the_width_of_the_window(lecture, width):
    _resize(lecture, width)
    lecture.execute_script("document.querySelectorAll('details').forEach(one => one.open = true)")
    assert lecture.execute_script(SIZE) == [width, width]
    inside = [one for one in lecture.execute_script(CLIPPED) if not one.startswith(("<code", "<pre"))]
    assert inside == []
