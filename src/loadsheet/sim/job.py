"""A request and what only the simulation knows of it: how long its reply will be."""

from dataclasses import dataclass

from loadsheet.workload.request import Request, TextRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """`output_tokens` of a text request, at most its `max_output_tokens`; unused by others.

    `session` keeps the requests of one conversation together, for routers that care; `delay_s`
    passes between its arrival and the scheduler's hearing of it: transport and tokenizer.
    """

    request: Request
    class_name: str
    output_tokens: int = 1
    session: str = ""
    delay_s: float = 0.0

    def __post_init__(self) -> None:
        if isinstance(self.request, TextRequest):
            allowed = self.request.max_output_tokens
            if not 1 <= self.output_tokens <= allowed:
                raise ValueError(f"{self.output_tokens} output tokens, {allowed} allowed")
