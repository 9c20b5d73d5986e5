"""The HTML report in a real browser: it draws, zooms, and needs nothing from outside."""

import pytest
from playwright.sync_api import sync_playwright

from loadsheet.bench.html_report import html_report
from loadsheet.bench.mock_server import Pace

pytestmark = pytest.mark.browser

DOCUMENT = {
    "name": "page",
    "run": {"warmup_s": 1, "duration_s": 5, "measure_alone": True},
    "traffic": [
        {
            "name": "chat",
            "kind": "text",
            "output_tokens": 20,
            "arrivals": {"process": "poisson", "rate_rps": 3},
        },
        {"name": "art", "kind": "image", "arrivals": {"process": "closed"}},
    ],
}


@pytest.fixture
def page_path(bench, tmp_path):
    result = bench(DOCUMENT, Pace(ttft_s=0.2, itl_s=0.05, image_s=0.8))
    path = tmp_path / "report.html"
    path.write_text(html_report(result), encoding="utf-8")
    return path


def test_the_page_draws_and_reacts(page_path, chromium_path):
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        errors, requests = [], []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("request", lambda request: requests.append(request.url))
        page.goto(page_path.as_uri())
        page.wait_for_function("window.__ready")

        assert page.locator("#curves svg").count() == 5
        assert page.locator("#phases button").all_inner_texts() == [
            "mixed",
            "alone:art",
            "alone:chat",
        ]
        assert painted(page) > 1000
        before = page.evaluate("timeline.view.slice()")
        box = page.locator("#timeline").bounding_box()
        page.mouse.move(box["x"] + 600, box["y"] + 110)
        page.mouse.wheel(0, -500)
        page.wait_for_function("start => timeline.view[0] > start", arg=before[0])
        page.mouse.dblclick(box["x"] + 600, box["y"] + 40)
        assert page.evaluate("timeline.view") == before
        page.get_by_role("button", name="alone:art").click()
        assert page.evaluate("timeline.data.phase") == "alone:art"
        assert errors == []
        assert requests == [page_path.as_uri()]
        browser.close()


def painted(page) -> int:
    """Pixels of the canvas that are not empty."""
    return page.evaluate(
        """() => {
            const canvas = document.getElementById("timeline");
            const { width, height } = canvas;
            const data = canvas.getContext("2d").getImageData(0, 0, width, height).data;
            let count = 0;
            for (let i = 3; i < data.length; i += 4) if (data[i] > 0) count += 1;
            return count;
        }"""
    )
