import pytest

from loadsheet.engine.text.stops import Released, StopMatcher


def test_without_stop_strings_all_passes_at_once() -> None:
    matcher = StopMatcher(())
    assert matcher.feed("any text") == Released("any text", False)
    assert matcher.flush() == ""


def test_holds_back_what_may_begin_a_stop_string() -> None:
    matcher = StopMatcher(("END",))
    assert matcher.feed("the E") == Released("the ", False)
    assert matcher.feed("N") == Released("", False)
    assert matcher.feed("V") == Released("ENV", False)  # it was none
    assert matcher.feed(" EN") == Released(" ", False)
    assert matcher.feed("D and more") == Released("", True)


def test_cuts_at_the_first_of_several() -> None:
    matcher = StopMatcher(("world", "lo"))
    assert matcher.feed("hello world") == Released("hel", True)


def test_a_stop_string_may_begin_inside_a_failed_one() -> None:
    matcher = StopMatcher(("aab",))
    assert matcher.feed("aa") == Released("", False)
    assert matcher.feed("a") == Released("a", False)  # "aa" may still begin it
    assert matcher.feed("b") == Released("", True)


def test_flush_gives_what_was_held() -> None:
    matcher = StopMatcher(("\n\n",))
    assert matcher.feed("end\n") == Released("end", False)
    assert matcher.flush() == "\n"
    assert matcher.flush() == ""


def test_an_empty_stop_string_stops_nothing() -> None:
    assert StopMatcher(("",)).feed("text") == Released("text", False)


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_any_split_gives_the_text_before_the_stop(size) -> None:
    text, stops = "xx<|im_|>yy<|im_end|>zz", ("<|im_end|>", "<|endoftext|>")
    matcher, shown = StopMatcher(stops), ""
    for start in range(0, len(text), size):
        released = matcher.feed(text[start : start + size])
        shown += released.text
        if released.is_stopped:
            break
    assert released.is_stopped
    assert shown == "xx<|im_|>yy"
