"""Which images step together: the earliest deadline leads, equals fill up.

A mate joins while the step still fits the given slack, while images per second clearly improve,
and while nobody who would have met a deadline loses it. An image that waits is encoded early when
it would then join the batch of the leader: two images that share their steps beat two in a row
exactly when the batch is worth it.
"""

from dataclasses import dataclass
from itertools import takewhile

from loadsheet.sched.image_group import ImageGroup, ImageJob
from loadsheet.sched.plan import StepKind
from loadsheet.sched.policy import DeviceState, ImageChoice
from loadsheet.sched.step_times import StepTimes

# A mate must cut the time per image to this share or less. Below 5 % a longer step, which nothing
# can interrupt, costs text more than it brings.
MAX_SHARE = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class ImagePick:
    """A possible image step, how long it takes, and how long its leader could still wait.

    `laxity_share` is that laxity as a share of the time the leader was promised.
    """

    choice: ImageChoice
    seconds: float
    laxity_s: float
    laxity_share: float


def pick_images(state: DeviceState, slack_s: float, now_s: float) -> ImagePick | None:
    """The step for the earliest deadline of all models; None when no image can step."""
    leaders = [(job, group) for group in state.images if (job := group.next_job()) is not None]
    if not leaders:
        return None
    leader, group = min(leaders, key=lambda pair: pair[0].urgency)
    prices = _Prices(group, leader, state.times, now_s)
    if leader.next_kind is StepKind.ENCODE:
        members = _fill(prices, [leader], _starters(group, leader), slack_s)
        return _pick(prices, leader.next_kind, members)
    mates = [job for job in group.ready if _is_mate(job, leader)]
    members = _fill(prices, [leader], mates, slack_s)
    if leader.next_kind is StepKind.DENOISE:
        joined = _fill(prices, members, _starters(group, leader), slack_s)
        if len(joined) > len(members):
            return _pick(prices, StepKind.ENCODE, joined[len(members) :])
    return _pick(prices, leader.next_kind, members)


def keeps_running(group: ImageGroup, times: StepTimes, now_s: float) -> ImageChoice | None:
    """All started images, if they denoise together now and would again after this step.

    A batch of one goes on alone; a larger one shrinks only if somebody in it falls late.
    """
    jobs = list(group.ready)
    if group.num_waiting or len(jobs) < group.num_started:
        return None
    if any(job.next_kind is not StepKind.DENOISE for job in jobs):
        return None
    prices = _Prices(group, jobs[0], times, now_s)
    if len(jobs) > 1 and any(prices.laxity_s(job, len(jobs)) < 0 for job in jobs):
        return None
    mates = [job for job in jobs if _is_mate(job, jobs[0])]
    members = _fill(prices, [jobs[0]], mates, float("inf"))
    return _pick(prices, StepKind.DENOISE, members).choice if len(members) == len(jobs) else None


class _Prices:
    """Seconds of steps around one leader, each predicted once per decision."""

    __slots__ = ("_group", "_now_s", "_seconds", "_times", "_vae_s", "leader")

    def __init__(self, group: ImageGroup, leader: ImageJob, times: StepTimes, now_s: float) -> None:
        self.leader = leader
        self._group = group
        self._now_s = now_s
        self._times = times
        self._seconds: dict[tuple[StepKind, int], float] = {}
        self._vae_s = self.seconds(StepKind.VAE_DECODE, 1)

    @property
    def model(self) -> str:
        return self._group.model

    @property
    def max_batch(self) -> int:
        return self._group.limits.max_batch

    def seconds(self, kind: StepKind, batch: int) -> float:
        seconds = self._seconds.get((kind, batch))
        if seconds is None:
            shape = self.leader.shape(batch)
            seconds = self._times.predict(kind, self._group.model, shape)
            self._seconds[kind, batch] = seconds
        return seconds

    def laxity_s(self, job: ImageJob, batch: int) -> float:
        """How long `job` could pause and still be in time if it steps in batches of this size."""
        left_s = self.seconds(StepKind.DENOISE, batch) * job.steps_left + self._vae_s
        return job.due_s - self._now_s - left_s


def _is_mate(job: ImageJob, leader: ImageJob) -> bool:
    is_other = job is not leader
    return is_other and job.next_kind is leader.next_kind and job.batch_key == leader.batch_key


def _starters(group: ImageGroup, leader: ImageJob) -> list[ImageJob]:
    """Waiting images that could start and join the leader; starts keep the order of deadlines."""
    return list(takewhile(lambda job: job.batch_key == leader.batch_key, group.startable()))


def _fill(
    prices: _Prices, members: list[ImageJob], mates: list[ImageJob], slack_s: float
) -> list[ImageJob]:
    """`members` and as many of `mates` as are worth it."""
    kind = prices.leader.next_kind
    filled = list(members)
    for mate in mates:
        if mate is prices.leader:
            continue
        batch = len(filled)
        if batch == prices.max_batch:
            break
        seconds, joined_s = prices.seconds(kind, batch), prices.seconds(kind, batch + 1)
        if joined_s > slack_s or joined_s * batch > MAX_SHARE * seconds * (batch + 1):
            break
        if any(_loses_deadline(prices, job, batch) for job in (*filled, mate)):
            break
        filled.append(mate)
    return filled


def _loses_deadline(prices: _Prices, job: ImageJob, batch: int) -> bool:
    """Whether one more image in the batch makes this one late that would have been in time."""
    return prices.laxity_s(job, batch) >= 0 > prices.laxity_s(job, batch + 1)


def _pick(prices: _Prices, kind: StepKind, members: list[ImageJob]) -> ImagePick:
    batch = len(members)
    laxity_s = prices.laxity_s(prices.leader, batch)
    return ImagePick(
        choice=ImageChoice(
            model=prices.model, kind=kind, request_ids=tuple(job.request_id for job in members)
        ),
        seconds=prices.seconds(kind, batch),
        laxity_s=laxity_s,
        laxity_share=laxity_s / prices.leader.request.slo.deadline_s,
    )
