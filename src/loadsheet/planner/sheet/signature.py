"""Who signed a load sheet, when, and for which numbers."""

import hashlib
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """`plan_digest` is the SHA-256 of `plan.json` as written: `sha256sum plan.json` repeats it."""

    who: str
    when: str
    plan_digest: str


def sign(plan_json: str, who: str, now: datetime) -> Signature:
    digest = hashlib.sha256(plan_json.encode("utf-8")).hexdigest()
    return Signature(who=who, when=now.strftime("%Y-%m-%d %H:%M %Z").strip(), plan_digest=digest)
