"""The page in a real headless Chromium: chat, draw, stop, cancel, key and theme."""

from contextlib import contextmanager

import pytest
from playwright.sync_api import sync_playwright

from loadsheet.server.config import ServerConfig

pytestmark = pytest.mark.browser

# Chromium should start without a sandbox of its own, and without calling home.
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@pytest.fixture(scope="module")
def browser(chromium_path):
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path, args=list(FLAGS))
        yield browser
        browser.close()


@contextmanager
def opened(browser, url, **options):
    """The page, loaded; at the end nothing may have gone wrong or gone elsewhere."""
    context = browser.new_context(**options)
    page = context.new_page()
    page.set_default_timeout(20_000)
    problems, foreign = [], []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on(
        "request",
        lambda request: (
            None if request.url.startswith((url, "data:")) else foreign.append(request.url)
        ),
    )
    page.goto(url)
    page.wait_for_selector("html[data-ready]")
    yield page
    context.close()
    assert problems == []
    assert foreign == []


@pytest.fixture
def page(browser, app):
    with opened(browser, app.url) as page:
        yield page


def by_id(page, name):
    return page.get_by_test_id(name)


def ask(page, text="hello"):
    by_id(page, "chat-input").fill(text)
    by_id(page, "chat-input").press("Enter")


def draw(page, count, prompt="a cat"):
    by_id(page, "draw-prompt").fill(prompt)
    by_id(page, "draw-count").fill(str(count))
    by_id(page, "draw-send").click()


def tiles(page, state):
    return page.locator(f'[data-testid="tile"][data-state="{state}"]')


def replies(page, state):
    return page.locator(f'[data-testid="message-assistant"][data-state="{state}"]')


def test_chat_and_draw_at_once(app, page):
    app.executor.step_s = 0.01
    app.executor.num_words = 30
    by_id(page, "draw-seed").fill("40")
    draw(page, 5)
    ask(page)
    replies(page, "done").wait_for()
    assert "w0 w1 w2" in replies(page, "done").inner_text()
    facts = by_id(page, "facts-assistant").inner_text()
    assert "TTFT" in facts
    assert "tok/s" in facts
    assert "30 tokens" in facts
    tiles(page, "done").nth(4).wait_for()
    widths = page.eval_on_selector_all(".tile img", "images => images.map(i => i.naturalWidth)")
    assert widths == [64] * 5
    captions = tiles(page, "done").locator(".facts").all_inner_texts()
    assert [caption.split(" · ")[0] for caption in captions] == [
        f"seed {seed}" for seed in range(40, 45)
    ]
    payloads = [one for one in app.executor.payloads.values() if hasattr(one, "seed")]
    assert {payload.prompt for payload in payloads} == {"a cat"}


def test_the_conversation_is_sent_again(app, page):
    ask(page, "first")
    replies(page, "done").wait_for()
    ask(page, "second")
    replies(page, "done").nth(1).wait_for()
    last = list(app.executor.payloads.values())[-1]
    sent = "".join(map(chr, last.prompt_ids))
    assert sent == "user:first\nassistant:w0 w1 w2 w3 \nuser:second\n"
    by_id(page, "chat-clear").click()
    assert by_id(page, "message-assistant").count() == 0


def test_stop_ends_the_reply_and_frees_the_device(app, page):
    app.executor.hold()
    ask(page)
    app.until(lambda: app.status()["models"][0]["running"] == 1)
    by_id(page, "chat-stop").click()
    replies(page, "stopped").wait_for()
    app.executor.resume()
    app.until(lambda: app.status()["models"][0]["running"] == 0)
    assert 'outcome="abort"' in app.http.get("/metrics").text
    assert by_id(page, "chat-send").is_enabled()


def test_waiting_images_can_be_cancelled(app, page):
    app.executor.hold()
    draw(page, 5)
    tiles(page, "waiting").nth(2).wait_for()
    assert tiles(page, "queued").count() == 2  # three streams at a time, the rest in the page
    page.get_by_label("Cancel the image").nth(4).click()
    page.get_by_label("Cancel the image").nth(0).click()
    assert tiles(page, "stopped").count() == 2
    app.executor.resume()
    tiles(page, "done").nth(2).wait_for()
    by_id(page, "draw-clear").click()
    assert by_id(page, "tile").count() == 0


def test_a_refusal_is_shown_where_it_belongs(page):
    by_id(page, "chat-max").fill("600")
    ask(page)
    replies(page, "failed").wait_for()
    assert "context is 512 tokens" in by_id(page, "facts-assistant").inner_text()
    page.locator("#draw-steps").evaluate("input => { input.max = ''; input.value = 99 }")
    draw(page, 1)
    tiles(page, "failed").wait_for()
    assert "give 1 to 50" in tiles(page, "failed").inner_text()


def test_a_failing_device_is_shown(app, page):
    app.executor.fail_after = 2
    ask(page)
    replies(page, "failed").wait_for()
    assert "NaN in logits" in by_id(page, "facts-assistant").inner_text()


def test_the_device_strip_tells_what_runs(app, page):
    app.executor.hold()
    ask(page)
    draw(page, 2)
    models = by_id(page, "models")
    models.get_by_text("1 running").wait_for()
    assert "KV cache" in models.inner_text()
    assert "/ 256 blocks" in models.inner_text()
    assert by_id(page, "health").inner_text() == "ready"
    app.executor.resume()
    tiles(page, "done").nth(1).wait_for()
    app.loop.drain()
    page.get_by_text("draining").wait_for()


def test_a_key_is_asked_for_and_used(browser, start):
    with start(ServerConfig(api_key="secret")) as app, opened(browser, app.url) as page:
        by_id(page, "key-input").fill("secret")
        by_id(page, "key-save").click()
        page.get_by_text("ready", exact=True).wait_for()
        ask(page)
        replies(page, "done").wait_for()
        assert page.evaluate("localStorage.length") == 0  # the key lives in this tab only


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_theme_follows_the_system_until_it_is_switched(browser, app, scheme):
    def is_dark(page):
        colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
        return sum(int(part) for part in colour[4:-1].split(",")) < 300

    with opened(browser, app.url, color_scheme=scheme) as page:
        assert is_dark(page) is (scheme == "dark")
        by_id(page, "theme").click()
        assert is_dark(page) is (scheme == "light")
        page.reload()
        page.wait_for_selector("html[data-ready]")
        assert is_dark(page) is (scheme == "light")


def test_every_control_has_a_name_and_nothing_overflows(browser, app):
    for width in (360, 820, 1440):
        with opened(browser, app.url, viewport={"width": width, "height": 900}) as page:
            nameless = page.evaluate(
                """() => [...document.querySelectorAll("input, select, textarea, button")]
                    .filter((node) => !(node.labels?.length || node.ariaLabel || node.textContent))
                    .map((node) => node.id)"""
            )
            assert nameless == []
            assert page.evaluate("document.documentElement.scrollWidth") <= width
