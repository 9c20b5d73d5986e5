"""Server-sent events from bytes, in whatever pieces the network delivers them.

Only what OpenAI-style streams use: `data:` lines end at a blank line; comments and other fields are
skipped (the event's name repeats in the JSON). Line ends may be LF or CRLF.
"""


class EventParser:
    """`feed` returns the payloads that became complete; the rest waits for more bytes."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[bytes]:
        text = self._rest + data
        if b"\r" in text:
            # a CR at the very end may be half of a CRLF: leave it for the next call
            text, held = (text[:-1], b"\r") if text.endswith(b"\r") else (text, b"")
            text = text.replace(b"\r\n", b"\n")
        else:
            held = b""
        *blocks, rest = text.split(b"\n\n")
        self._rest = rest + held
        payloads = [_payload(block) for block in blocks]
        return [payload for payload in payloads if payload is not None]


def _payload(block: bytes) -> bytes | None:
    """The data of one event; several `data:` lines join with LF, as the standard says."""
    if block.startswith(b"data: ") and b"\n" not in block:  # nearly every event
        return block[6:]
    lines = [line[5:] for line in block.split(b"\n") if line.startswith(b"data:")]
    if not lines:
        return None
    return b"\n".join(line[1:] if line.startswith(b" ") else line for line in lines)
