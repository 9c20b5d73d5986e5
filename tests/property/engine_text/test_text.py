"""Text comes out in pieces that join to the whole, whatever the pieces."""

from hypothesis import given
from hypothesis import strategies as st

from loadsheet.engine.text.stops import StopMatcher

# Few letters, so that stop strings begin, fail and overlap all the time.
letters = st.text(alphabet="ab", max_size=40)
stop_strings = st.lists(st.text(alphabet="ab", min_size=1, max_size=6), max_size=3)


@given(token_ids=st.lists(st.integers(0, 255), max_size=80))
def test_any_bytes_join_to_their_text_and_no_character_is_halved(tokenizer, token_ids) -> None:
    """Any bytes, most of them no UTF-8: pieces are a beginning of the text, short of it by at most
    the replacement of one unfinished character."""
    detokenizer = tokenizer.detokenizer()
    joined = "".join(detokenizer.feed(token_id) for token_id in token_ids)
    whole = tokenizer.decode(token_ids)
    assert whole == joined or whole == joined + "\ufffd"


@given(text=st.text(max_size=60))
def test_any_text_comes_back_whole(tokenizer, text) -> None:
    detokenizer = tokenizer.detokenizer()
    deltas = [detokenizer.feed(token_id) for token_id in tokenizer.encode(text)]
    # A text that itself ends in the replacement character looks unfinished.
    assert "".join(deltas) == text.rstrip("\ufffd") or "".join(deltas) == text[:-1]


@given(text=letters, stops=stop_strings, cuts=st.lists(st.integers(1, 5), min_size=1, max_size=40))
def test_stop_strings_cut_where_they_first_appear(text, stops, cuts) -> None:
    matcher, shown, is_stopped, at = StopMatcher(stops), "", False, 0
    for cut in cuts * 40:
        if at >= len(text) or is_stopped:
            break
        released = matcher.feed(text[at : at + cut])
        shown, is_stopped, at = shown + released.text, released.is_stopped, at + cut
        # What is held back is only ever the beginning of a stop string.
        held = text[len(shown) : at]
        assert is_stopped or held == "" or any(stop.startswith(held) for stop in stops)
    ends = [text.find(stop) for stop in stops if stop in text[:at]]
    assert is_stopped == bool(ends)
    assert (shown if is_stopped else shown + matcher.flush()) == text[
        : min(ends, default=len(text))
    ]
