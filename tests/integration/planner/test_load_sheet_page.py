"""The load sheet in a real browser: sliders compute what Python does; it needs no network."""

import math
from dataclasses import replace

import pytest
from playwright.sync_api import sync_playwright

from loadsheet.hardware.catalog import DeviceCatalog, with_price
from loadsheet.hardware.cluster import Cluster, Link, Node
from loadsheet.planner.make_plan import make_plan, silent
from loadsheet.planner.option import Option
from loadsheet.planner.problem import problem_of
from loadsheet.planner.question import Question
from loadsheet.planner.queueing import erlang_c, wait_s
from loadsheet.planner.sheet.folder import sheet_of
from loadsheet.planner.sheet.page import page as page_text
from loadsheet.planner.sheet.pool import option_of
from loadsheet.planner.sheet.signature import Signature
from loadsheet.workload.workload_file import parse_workload

pytestmark = pytest.mark.browser

WORKLOAD = {
    "name": "chat and pictures",
    "traffic": [
        {
            "name": "chat",
            "kind": "text",
            "model": "smollm2-1.7b",
            "arrivals": {"process": "poisson", "rate_rps": 12},
            "prompt_tokens": {"distribution": "lognormal", "mean": 300, "cv": 0.8, "max": 1500},
            "output_tokens": 100,
            "slo": {"ttft_s": 1.0, "tpot_s": 0.05},
        },
        {
            "name": "picture",
            "kind": "image",
            "model": "sd-1.5",
            "arrivals": {"process": "gamma", "rate_rps": 1.2, "cv": 1.5},
            "width": 512,
            "height": 512,
            "slo": {"deadline_s": 12},
        },
    ],
}
SIGNATURE = Signature(who="A. Planner", when="2026-11-23 12:00 UTC", plan_digest="0" * 64)
FACTORS = [(1.0, 1.0), (0.3, 2.5), (4.0, 0.5), (1.7, 1.7)]


@pytest.fixture(scope="module")
def flown():
    """A plan, its problem and its sheet; closed forms only."""
    device = with_price(DeviceCatalog().find("l4"), 0.7)
    network = Link(name="network", bytes_per_s=1e10, latency_s=1e-5)
    node = Node(device=device, num_devices=1, network=network, name="l4")
    question = Question(
        workload=parse_workload(WORKLOAD), cluster=Cluster(nodes=((node, 32),)), seeds=()
    )
    plan, problem = make_plan(question), problem_of(question, silent)
    return plan, problem, sheet_of(plan, problem, SIGNATURE, silent)


@pytest.fixture(scope="module")
def opened(flown, chromium_path, tmp_path_factory):
    """The page in a browser, with what went wrong and what it asked for."""
    path = tmp_path_factory.mktemp("sheet") / "plan.html"
    path.write_text(page_text(flown[2]), encoding="utf-8")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        errors, requests = [], []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("request", lambda request: requests.append(request.url))
        page.goto(path.as_uri())
        page.wait_for_function("window.__ready")
        yield page, errors, requests
        browser.close()
    assert errors == []
    assert requests == [path.as_uri()]


def busier(option: Option, factors: dict[str, float]) -> Option:
    """The same option, planned for other rates."""
    fits = tuple(
        replace(
            fit,
            classes=tuple(
                replace(
                    one,
                    demand=replace(
                        one.demand, planned_rps=one.demand.planned_rps * factors[one.demand.name]
                    ),
                )
                for one in fit.classes
            ),
        )
        for fit in option.fits
    )
    return Option(fits=fits)


def test_queueing_is_the_same_in_both(opened):
    page, _, _ = opened
    for servers in (1, 3, 40, 100, 101, 700):
        for used in (0.05, 0.5, 0.9, 0.99, 1.0):
            found = page.evaluate("([n, a]) => loadsheet.erlangC(n, a)", [servers, used * servers])
            assert found == pytest.approx(erlang_c(servers, used * servers), rel=1e-9, abs=1e-300)
            words = [0.95, servers, used, 0.7, 1.3]
            found = page.evaluate("(words) => String(loadsheet.waitS(...words))", words)
            assert float(found.replace("Infinity", "inf")) == pytest.approx(
                wait_s(*words), rel=1e-9
            )
    for x in (-3.0, -0.2, 0.0, 0.4, 1.9, 5.5):
        found = page.evaluate("x => loadsheet.erf(x)", x)
        assert found == pytest.approx(math.erf(x), abs=1e-14)


@pytest.mark.parametrize("pair", FACTORS)
def test_shares_and_latencies_are_the_same_in_both(flown, opened, pair):
    plan, problem, sheet = flown
    page, _, _ = opened
    factors = dict(zip(("chat", "picture"), pair, strict=True))
    for group, pool in zip(plan.groups, sheet.pools, strict=True):
        option = busier(option_of(group, problem), factors)
        words = {"pool": {**pool.as_dict(), "correction": 1.0}, "factors": factors}
        for servers in (1, 2, 9, 40):
            found = page.evaluate(
                "({pool, factors, n}) => loadsheet.share(pool, n, factors)", {**words, "n": servers}
            )
            assert found == pytest.approx(option.share(servers), rel=1e-9)
            for one, its in zip(option.classes, pool.classes, strict=True):
                found = page.evaluate(
                    "({pool, factors, n, name}) => String(loadsheet.latencyS(pool,"
                    " pool.classes.find(one => one.name === name), n, 0.7, 0.4, factors))",
                    {**words, "n": servers, "name": its.name},
                )
                expected = option.latency_s(one, servers, 0.7, 0.4)
                assert float(found.replace("Infinity", "inf")) == pytest.approx(expected, rel=1e-9)


def test_the_sliders_begin_with_the_plan(flown, opened):
    plan, _, _ = flown
    page, _, _ = opened
    found = page.evaluate(
        "loadsheet.recompute(JSON.parse(document.getElementById('data').textContent).pools,"
        " {chat: 1, picture: 1})"
    )
    assert [one["planned"] for one in found["groups"]] == [
        group.replicas.num_replicas for group in plan.groups
    ]
    for one, group in zip(found["groups"], plan.groups, strict=True):
        assert one["is_kept"] and one["replicas"] <= group.replicas.num_replicas
        assert one["used"] == pytest.approx(group.utilisation)


def test_more_traffic_needs_more_and_reset_goes_back(opened):
    page, _, _ = opened
    before = page.locator("#outcome .big").inner_text()
    page.locator("#sliders input").first.evaluate(
        "node => { node.value = 3; node.dispatchEvent(new Event('input')); }"
    )
    after = page.locator("#outcome .big").inner_text()
    count = [int(text.split()[1].replace(",", "")) for text in (before, after)]
    assert count[1] > 3 * count[0]
    page.get_by_role("button", name="as planned").click()
    assert page.locator("#outcome .big").inner_text() == before


def test_a_number_shows_its_formula(opened):
    page, _, _ = opened
    page.locator("#replicas button.why").first.click()
    text = page.locator("#formula p").inner_text()
    assert "decode tax" in text and "replicas =" in text
    page.locator("#formula").get_by_role("button", name="close").click()
    page.locator("#roofline g.why").first.focus()
    page.keyboard.press("Enter")
    assert "FLOP/byte" in page.locator("#formula p").inner_text()
    page.locator("#formula").get_by_role("button", name="close").click()


def test_the_gantt_moves(opened):
    page, _, _ = opened
    assert page.locator("#gantt-chart rect").count() > 5
    before = page.locator("#gantt-note").inner_text()
    page.locator("#gantt-at").evaluate(
        "node => { node.value = 700; node.dispatchEvent(new Event('input')); }"
    )
    assert page.locator("#gantt-note").inner_text() != before


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone_in_light_and_dark(opened, scheme):
    page, _, _ = opened
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    tile = page.locator(".tile").first
    assert tile.bounding_box()["y"] < 300  # the answer before anything else
    ink, ground = page.evaluate(
        "[getComputedStyle(document.body).color, getComputedStyle(document.body).backgroundColor]"
    )
    light = [sum(map(int, text[4:-1].split(","))) for text in (ink, ground)]
    assert (light[0] < light[1]) == (scheme == "light")
    bars = page.locator(".bar button.part")
    colour = bars.first.evaluate("node => getComputedStyle(node).backgroundColor")
    assert colour != "rgba(0, 0, 0, 0)"
