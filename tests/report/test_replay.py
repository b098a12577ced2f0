"""The replay page: what it holds, and what a browser makes of it."""

import base64
import gzip
import json
import re
import shutil
import time

import numpy as np
import pytest
from comings import coming_and_going

from meqc_marl.cli import main
from meqc_marl.config import load_scenario
from meqc_marl.env.render import MODE_COLOURS
from meqc_marl.evaluation.rollout import rollout
from meqc_marl.nature.trace import generate_trace
from meqc_marl.policies import make_policy
from meqc_marl.report.replay import replay_page, save_replay
from meqc_marl.report.replay.pack import Pack
from tests.sentences import is_one_sentence

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
needs_browser = pytest.mark.skipif(
    not (BROWSER and DRIVER), reason="no Chromium with chromedriver here (apt-get install chromium chromium-driver)"
)


def made(devices=15, slots=30, names=("hybrid-discrete", "oracle"), name="paper"):
    scenario = load_scenario("paper", [f"num_devices={devices}"]).model_copy(update={"name": name})
    trace = generate_trace(scenario, [5], num_slots=slots)
    records = {each: rollout(make_policy(each, scenario), scenario, trace) for each in names}
    return scenario, trace, records


@pytest.mark.parametrize("num_bytes", [1, 2])
@pytest.mark.parametrize("log", [False, True])
def test_columns_are_exact_to_half_a_step(num_bytes, log):
    rng = np.random.default_rng(0)
    first, second = rng.random((7, 3)) * 50, np.exp(rng.normal(0, 5, (7, 3)))
    pack = Pack()
    pack.add_codes("odd", np.arange(21).reshape(7, 3))
    pack.add("first", first, num_bytes, log)
    pack.add("second", second, 2, log=True)
    pack.add("same", np.full((7, 3), 4.0), num_bytes, log)
    buffer = gzip.decompress(base64.b64decode(pack.text()))
    for name, values in (("odd", np.arange(21.0)), ("first", first), ("second", second), ("same", np.full(21, 4.0))):
        about = pack.about[name]
        codes = np.frombuffer(buffer, "<u2" if about["bytes"] == 2 else "u1", 21, about["offset"])
        found = about["low"] + codes / about["steps"] * (about["high"] - about["low"])
        wanted = np.log1p(values.ravel()) if about["log"] else values.ravel()
        assert np.abs(found - wanted).max() <= 0.5001 * (about["high"] - about["low"]) / about["steps"]
        assert about["offset"] % about["bytes"] == 0


def test_page_needs_nothing_else():
    page = replay_page(*made(devices=3, slots=4))
    assert "{{" not in page
    assert not re.search(r"https?://|\bsrc\s*=|\bhref\s*=|@import|url\(|\bfetch\(|XMLHttpRequest|WebSocket", page)
    assert "default-src 'none'" in page
    assert page == replay_page(*made(devices=3, slots=4))


def test_names_are_text_and_nothing_else():
    page = replay_page(*made(devices=2, slots=3, name="</script><img onerror=alert(1)>"))
    assert "<img" not in page
    (facts,) = re.findall(r'id="facts-json">(.*?)</script>', page, re.DOTALL)
    assert json.loads(facts)["title"].startswith("</script><img onerror=alert(1)>")


def test_colours_differ_for_the_colour_blind_and_in_grey():
    """Machado et al. 2009, full deuteranopia and protanopia, in linear RGB; and luminance alone."""
    from matplotlib.colors import to_rgb

    deuteranopia = np.array([[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]])
    protanopia = np.array([[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]])
    grey = np.array([[0.2126, 0.7152, 0.0722]] * 3)
    colours = np.array([to_rgb(colour) for colour in (*MODE_COLOURS.values(), "#ffffff")]) ** 2.2
    for matrix in (np.eye(3), deuteranopia, protanopia, grey):
        seen = np.clip(colours @ matrix.T, 0, 1) ** (1 / 2.2)
        for i in range(len(seen)):
            for j in range(i):
                assert np.linalg.norm(seen[i] - seen[j]) > 0.3


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["nobody"], ["'nobody'", "neither", "local-only"]),
        (["orcale"], ["'orcale'", "did you mean 'oracle'?"]),
        (["oracle", "oracle"], ["twice"]),
        (["oracle", "--out", "/no/such/folder/x.html"], ["/no/such/folder/x.html"]),
        (["oracle", "--num-slots", "0"], ["num-slots: 0"]),
        ([], ["no policy"]),
    ],
)
def test_bad_input_is_one_sentence(words, parts, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["replay", *words]) == 2
    sentence = capsys.readouterr().err.removeprefix("error: ").removesuffix("\n")
    assert is_one_sentence(sentence), sentence
    assert all(part in sentence for part in parts)
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def browser():
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=1200,1000"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    yield driver
    driver.quit()


def until(browser, condition, seconds=20.0):
    deadline = time.monotonic() + seconds
    while not browser.execute_script(f"return {condition}"):
        assert time.monotonic() < deadline, condition
        time.sleep(0.05)


@pytest.fixture
def opened(browser, tmp_path):
    """Opens the page of some rollouts, and sees to it that the browser has nothing to complain about."""

    def show(scenario, trace, records, width=1200, height=1000):
        save_replay(replay_page(scenario, trace, records, ", seed 5"), tmp_path / "page.html")
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        browser.get(f"file://{tmp_path / 'page.html'}")
        until(browser, "document.body.dataset.ready && document.body.dataset.frames > 0")
        return browser

    browser.get_log("browser")
    yield show
    assert browser.get_log("browser") == []
    assert browser.execute_script("return performance.getEntriesByType('resource').length") == 0


def data(browser, name):
    return browser.execute_script(f"return document.body.dataset.{name}")


def press(browser, *keys):
    from selenium.webdriver import ActionChains

    for key in keys:
        ActionChains(browser).send_keys(key).perform()
    time.sleep(0.15)


@needs_browser
def test_the_browser_shows_what_the_rollouts_hold(opened):
    scenario, trace, records = made()
    page = opened(scenario, trace, records)
    for number, record in enumerate(records.values()):
        shown = page.execute_script(
            "const all = []; for (let t = 0; t < T; t++) for (let m = 0; m < M; m++) "
            f"{{ const o = outcome({number}, t, m); all.push([o.mode, o.missed, o.feasible, o.rejected, o.fraction, "
            "o.cost, o.latency, o.backlog]); } return all;"
        )
        columns = np.array(shown, float).reshape(30, 15, 8).transpose(2, 0, 1)
        for found, wanted in zip(
            columns[:4],
            (record.mode, record.deadline_missed, record.deadline_feasible, record.qpu_rejected),
            strict=True,
        ):
            np.testing.assert_array_equal(found, wanted[:, 0])
        np.testing.assert_allclose(columns[4], record.fraction[:, 0], atol=1 / 500)
        for found, wanted in zip(columns[5:], (record.cost, record.latency_s, record.backlog[1:]), strict=True):
            np.testing.assert_allclose(found, wanted[:, 0], rtol=1e-3, atol=1e-3)
    positions = np.array(page.execute_script("return Array.from({length: M}, (_, m) => place(7, m))"))
    np.testing.assert_allclose(positions, trace.position_m[7, 0], atol=0.01)
    page.execute_script("go(12)")
    until(page, "document.body.dataset.slot === '12'")
    text = page.execute_script("return document.querySelector('#left .stats').textContent")
    record = records["hybrid-discrete"]
    assert f"cost {record.cost[12].mean():.2f}, so far {record.cost[:13].mean():.2f};" in text
    assert f"deadlines missed {record.deadline_missed[12].sum()} of 15" in text


@needs_browser
def test_it_plays_and_pauses_and_ends(opened):
    page = opened(*made(slots=100))
    page.execute_script("document.getElementById('speed').value = '30'; document.getElementById('speed').onchange()")
    page.find_element("id", "play").click()
    until(page, "Number(document.body.dataset.slot) >= 3")
    page.find_element("id", "play").click()
    until(page, "document.body.dataset.playing === 'false'")
    slot = int(data(page, "slot"))
    time.sleep(0.3)
    assert int(data(page, "slot")) == slot
    assert 3 <= slot < 99
    page.find_element("id", "play").click()
    until(page, "document.body.dataset.slot === '99' && document.body.dataset.playing === 'false'")
    assert page.find_element("id", "play").text.endswith("play")


@needs_browser
def test_keys_slider_and_choices(opened):
    from selenium.webdriver import Keys

    page = opened(*made(slots=25, names=("greedy", "hybrid-discrete", "oracle")))
    press(page, Keys.ARROW_RIGHT, Keys.ARROW_RIGHT, Keys.ARROW_LEFT)
    assert data(page, "slot") == "1"
    page.find_element("id", "time").send_keys(Keys.ARROW_RIGHT)  # once, also where the slider has the focus
    until(page, "document.body.dataset.slot === '2'")
    press(page, Keys.END)
    assert data(page, "slot") == "24"
    press(page, Keys.HOME)
    assert data(page, "slot") == "0"
    press(page, Keys.ARROW_UP, Keys.ARROW_UP)
    assert data(page, "device") == "1"
    press(page, Keys.ARROW_DOWN, Keys.ARROW_DOWN)
    assert data(page, "device") == "14"
    assert page.find_element("id", "who").text.startswith("device 14: ")
    press(page, Keys.ESCAPE)
    assert data(page, "device") == ""
    press(page, Keys.SPACE)
    assert data(page, "playing") == "true"
    press(page, Keys.SPACE)
    assert data(page, "playing") == "false"
    page.find_element("id", "play").send_keys(Keys.SPACE)  # once, also where the button has the focus
    until(page, "document.body.dataset.playing === 'true'")
    page.execute_script("pause()")
    select = page.find_element("css selector", "#right select")
    select.send_keys("oracle")
    until(page, "document.body.dataset.right === '2'")


@needs_browser
def test_a_click_follows_the_device_under_it(opened):
    from selenium.webdriver import ActionChains

    scenario, trace, records = made()
    page = opened(scenario, trace, records)
    canvas = page.find_element("css selector", "#right canvas")
    box = canvas.rect
    zoom = (min(box["width"], box["height"]) / 2 - 10) / scenario.mobility.radius_m
    distances = np.linalg.norm(trace.position_m[0, 0][:, None] - trace.position_m[0, 0], axis=-1)
    device = int(np.argmax(np.where(distances == 0, np.inf, distances).min(0)))  # stands most alone
    x, y = trace.position_m[0, 0, device] * zoom
    ActionChains(page).move_to_element_with_offset(canvas, round(float(x)), round(float(-y))).click().perform()
    until(page, f"document.body.dataset.device === '{device}'")
    distance = float(np.hypot(*trace.position_m[0, 0, device]))
    assert f"device {device}: {distance:.1f} m away" in page.find_element("id", "who").text


@needs_browser
def test_a_missed_deadline_is_seen_on_the_map(opened):
    """Pixels of the mark's colour are where a device is late, and nowhere else on a map without one."""
    scenario, trace, records = made(slots=60)
    page = opened(scenario, trace, records)
    missed = records["hybrid-discrete"].deadline_missed[:, 0]
    late, punctual = int(missed.sum(-1).argmax()), int(missed.sum(-1).argmin())
    assert missed[late].any()
    assert not missed[punctual].any()
    count = (
        "const c = document.querySelector('#left canvas'), copy = document.createElement('canvas'); "
        "copy.width = c.width; copy.height = c.height; const p = copy.getContext('2d', { willReadFrequently: true }); "
        "p.drawImage(c, 0, 0); const d = p.getImageData(0, 0, c.width, c.height).data; "
        "let n = 0; for (let i = 0; i < d.length; i += 4) "
        "if (d[i] > 200 && d[i + 1] > 80 && d[i + 1] < 110 && d[i + 2] < 20) n++; return n;"
    )
    found = {}
    for slot in (late, punctual):
        page.execute_script(f"go({slot})")
        until(page, f"document.body.dataset.slot === '{slot}'")
        found[slot] = page.execute_script(count)
    assert found[late] >= 10 * missed[late].sum()
    assert found[punctual] == 0


@needs_browser
@pytest.mark.parametrize("width", [390, *(pytest.param(width, marks=pytest.mark.long) for width in (320, 768, 1600))])
def test_it_fits_every_width(opened, width):
    page = opened(*made(), width=width, height=844)
    page.execute_script("follow(3)")
    until(page, "document.body.dataset.device === '3'")
    assert page.execute_script("return document.documentElement.scrollWidth") <= width
    for element in ("#left canvas", "#right canvas", "#cost", "#queue", "#time", "#facts"):
        box = page.find_element("css selector", element).rect
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= width + 1
        assert box["width"] >= min(200, 0.5 * width)
    for button in page.find_elements("tag name", "button"):
        assert button.rect["height"] >= 36  # a finger's width


@needs_browser
@pytest.mark.long
@pytest.mark.timeout(120)
def test_a_thousand_devices(opened):
    page = opened(*made(devices=1_000, slots=40))
    page.execute_script("follow(500)")
    until(page, "document.body.dataset.device === '500'")
    times = page.execute_script(
        "const all = []; for (let i = 0; i < 15; i++) { const a = performance.now(); state.time = i; draw(); "
        "all.push(performance.now() - a); } return all;"
    )
    assert np.median(times) < 150.0  # on a busy core without a GPU; about 30 where it is free
    page.execute_script("state.speed = 30; toggle()")
    until(page, "document.body.dataset.slot === '39'")


@needs_browser
def test_the_command_writes_a_page_that_opens(browser, tmp_path, capsys):
    out = tmp_path / "page.html"
    assert main(["replay", "local-only", "--scenario", "small", "--num-slots", "9", "--out", str(out)]) == 0
    assert str(out) in capsys.readouterr().out
    browser.get(f"file://{out}")
    until(browser, "document.body.dataset.ready")
    assert browser.execute_script("return facts.policies") == ["local-only", "oracle"]
    assert browser.execute_script("return [T, M]") == [9, 3]
    assert browser.get_log("browser") == []


def test_the_page_does_not_replace_the_scenario(tmp_path, capsys):
    scenario = tmp_path / "mine.yaml"
    scenario.write_text("num_devices: 2\n")
    assert main(["replay", "oracle", "--scenario", str(scenario), "--out", str(scenario)]) == 2
    assert "the same file as scenario" in capsys.readouterr().err
    assert scenario.read_text() == "num_devices: 2\n"


def coming(slots=30):
    scenario, _, _ = made(5, 1)
    trace = coming_and_going(scenario, [5], slots)
    return (
        scenario,
        trace,
        {each: rollout(make_policy(each, scenario), scenario, trace) for each in ("greedy", "oracle")},
    )


def test_curves_are_means_of_those_who_are_there():
    scenario, trace, records = coming()
    page = replay_page(scenario, trace, records)
    facts = json.loads(re.search(r'id="facts-json"[^>]*>(.*?)</script>', page, re.DOTALL)[1])
    there = trace.present[:, 0]
    for curve, record in zip(facts["curves"], records.values(), strict=True):
        assert curve["there"] == there.sum(-1).tolist()
        cost = record.cost[:, 0]
        for t in range(30):
            by_hand = cost[t, there[t]].mean() if there[t].any() else 0.0
            assert curve["cost"][t] == pytest.approx(by_hand, abs=1e-4)
            assert curve["running"][t] == pytest.approx(cost[: t + 1][there[: t + 1]].mean(), abs=1e-4)


@needs_browser
def test_who_is_not_there_is_neither_drawn_nor_followed(opened):
    scenario, trace, records = coming()
    there = trace.present[:, 0]
    page = opened(scenario, trace, records)
    shown = page.execute_script(
        "const all = []; for (let t = 0; t < T; t++) for (let m = 0; m < M; m++) all.push(isThere(t, m)); return all;"
    )
    np.testing.assert_array_equal(np.array(shown).reshape(there.shape), there)
    # Half-way to a slot in which a device is away it stays where it was.
    t, m = np.argwhere(there[:-1] & ~there[1:])[0]
    at = page.execute_script(f"return place({t} + 0.5, {m})")
    np.testing.assert_allclose(at, trace.position_m[t, 0, m], atol=0.01)
    for slot in (t, t + 1):
        page.execute_script(f"go({slot}); follow({m})")
        until(page, f"document.body.dataset.slot === '{slot}' && document.body.dataset.device === '{m}'")
        text = page.execute_script("return document.getElementById('who').textContent")
        assert ("is not there" in text) == (slot == t + 1)
        rows = page.execute_script("return document.getElementById('facts').children.length")
        assert rows == (2 if slot == t else 0)
        stats = page.execute_script("return document.querySelector('#left .stats').textContent")
        assert stats.endswith(f"of {there[slot].sum()}")
    marks = page.execute_script(
        "let count = 0; const keep = mark; mark = (...all) => { count++; keep(...all); };"
        f"follow(null); go({t + 1}); drawMap(document.querySelector('#left canvas'), 0, {t + 1}, null);"
        "mark = keep; return count;"
    )
    assert marks == there[t + 1].sum()
