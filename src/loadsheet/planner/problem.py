"""The question as numbers: demands, options on every offer, and the program that chooses."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice

from loadsheet.errors import ConfigError, SpecError
from loadsheet.planner.column import Column
from loadsheet.planner.demand import Demand, demand_of
from loadsheet.planner.fit import ModelFit, Seat
from loadsheet.planner.image_fit import image_fit
from loadsheet.planner.offer import Offer, offers_of
from loadsheet.planner.option import Option, options_of
from loadsheet.planner.plan import Objective
from loadsheet.planner.program import Program
from loadsheet.planner.question import Question
from loadsheet.planner.text_fit import text_fit
from loadsheet.sim.deployment import ResidentModel
from loadsheet.sim.price_book import PriceBook
from loadsheet.specs.catalog import Entry
from loadsheet.specs.decoder import DecoderSpec
from loadsheet.specs.pipeline import PipelineSpec
from loadsheet.workload.planning import ModelChoice
from loadsheet.workload.slo import ImageSLO
from loadsheet.workload.traffic import StandaloneSLO, Traffic

Progress = Callable[[str, int, int], None]
"""(what is being done, steps done, steps in all)."""

_TP_TRIED = 2  # sizes that work


@dataclass(slots=True, kw_only=True)
class Problem:
    """`options` by offer name; a shared one mentions each model once."""

    question: Question
    offers: tuple[Offer, ...]
    demands: tuple[Demand, ...]
    options: list[tuple[Offer, Option]]
    book: PriceBook
    refused: list[str] = field(default_factory=list)  # seats that do not even have a price

    @property
    def objective(self) -> Objective:
        return Objective(self.question.workload.planning.objective)

    def working(self, *, may_share: bool) -> list[tuple[Offer, Option]]:
        return [
            (offer, option)
            for offer, option in self.options
            if not option.rejection and (may_share or not option.is_shared)
        ]

    def program(
        self,
        *,
        may_share: bool,
        factor: float = 1.0,
        objective: Objective | None = None,
        unlimited: frozenset[str] = frozenset(),
        favourites: frozenset[str] = frozenset(),
    ) -> Program:
        """For `factor` times the planned traffic; offers in `unlimited` never run out."""
        goal = objective or self.objective
        return Program(
            columns=[self.column(*pair, goal) for pair in self.working(may_share=may_share)],
            demands={one.name: factor * one.planned_rps for one in self.demands},
            devices={offer.name: _limit(offer, goal, unlimited) for offer in self.offers},
            spare=self.question.workload.planning.spare_replicas,
            has_most_goodput=goal is Objective.GOODPUT,
            favourites=favourites,
        )

    def column(self, offer: Offer, option: Option, objective: Objective) -> Column:
        dollars = offer.marginal_usd
        each = dollars if objective is Objective.COST else 1.0 + 1e-4 * dollars
        return Column(
            name=column_name(offer, option),
            device=offer.name,
            num_devices=option.tp,
            cost=option.tp * (each + 1e-6),
            tax=option.tax,
            seconds={one.demand.name: one.seconds for one in option.classes},
            held={one.demand.name: one.held_bytes * one.held_s for one in option.classes},
            free=float(option.free_bytes),
            share=option.share,
        )


def _limit(offer: Offer, goal: Objective, unlimited: frozenset[str]) -> int | None:
    """The most traffic is asked of the devices that are there."""
    if goal is Objective.GOODPUT:
        return offer.owned
    return None if offer.name in unlimited else offer.number


def column_name(offer: Offer, option: Option) -> str:
    models = "+".join(f"{fit.model.name}:{fit.model.dtype}" for fit in option.fits)
    return f"{offer.name} x{option.tp} {models}"


def problem_of(question: Question, progress: Progress, book: PriceBook | None = None) -> Problem:
    """Prices every model on every offer. Raises ConfigError for what cannot be asked."""
    offers = offers_of(question.cluster)
    _check_prices(question, offers)
    devices = {offer.device.name: offer.device for offer in offers}
    known = book or PriceBook(devices=devices)
    choices = _choices(question)
    entries = {name: _entry(known, choice) for name, choice in choices.items()}
    demands = _demands(question, offers, choices, entries)
    seats = _seats(offers, choices, entries)
    options: list[tuple[Offer, Option]] = []
    refused: list[str] = []
    for number, offer in enumerate(offers):
        progress("pricing models on devices", number, len(offers))
        fits, words = _fits(seats[offer.name], demands)
        refused += words
        private = {name for name, choice in choices.items() if not choice.may_share}
        options += [(offer, option) for option in options_of(fits, private)]
    progress("pricing models on devices", len(offers), len(offers))
    return Problem(
        question=question,
        offers=offers,
        demands=demands,
        options=options,
        book=known,
        refused=refused,
    )


def _check_prices(question: Question, offers: Sequence[Offer]) -> None:
    free = [offer.name for offer in offers if offer.usd_per_hour is None]
    if question.workload.planning.objective == Objective.COST and free:
        raise ConfigError(
            f"{free[0]} has no price; give usd_per_hour in the cluster file, or plan for "
            'objective = "devices"'
        )


def _choices(question: Question) -> dict[str, ModelChoice]:
    """One for every model that a class names, in the order of the classes."""
    given = {choice.name: choice for choice in question.workload.models}
    used = [traffic.model for traffic in question.workload.traffic if traffic.model]
    unused = sorted(set(given) - set(used))
    if unused:
        raise ConfigError(
            f"no class asks for model {unused[0]!r}; classes name {', '.join(sorted(set(used)))}"
        )
    return {name: given.get(name, ModelChoice(name=name)) for name in dict.fromkeys(used)}


def _entry(book: PriceBook, choice: ModelChoice) -> Entry:
    entry = book.entry(_resident(choice, choice.dtypes[0]))
    if not isinstance(entry.model, DecoderSpec | PipelineSpec):
        raise ConfigError(
            f"{choice.name} is a bare {entry.kind}; plans hold decoders and pipelines"
        )
    return entry


def _resident(choice: ModelChoice, dtype: str) -> ResidentModel:
    return ResidentModel(
        name=choice.name,
        source=choice.source,
        dtype=dtype,
        kv_dtype=choice.kv_dtype,
        engine=choice.engine,
    )


def _demands(
    question: Question,
    offers: Sequence[Offer],
    choices: Mapping[str, ModelChoice],
    entries: Mapping[str, Entry],
) -> tuple[Demand, ...]:
    planning = question.workload.planning
    found = []
    for traffic in question.workload.traffic:
        _check_kind(traffic, entries)
        slo = traffic.slo
        promised = ImageSLO(deadline_s=1e9) if isinstance(slo, StandaloneSLO) else slo
        one = demand_of(traffic, planning.demand_percentile, promised, question.workload.seed)
        if isinstance(slo, StandaloneSLO):
            own = _resident(choices[one.model], choices[one.model].dtypes[0])
            seats = [
                Seat(model=own, entry=entries[one.model], device=offer.device, tp=1)
                for offer in offers
            ]
            alone_s = min(image_fit(seat, (one,)).classes[0].alone_s for seat in seats)
            deadline = ImageSLO(deadline_s=slo.factor * alone_s, percentile=slo.percentile)
            one = replace(one, slo=deadline)
        found.append(one)
    return tuple(found)


def _check_kind(traffic: Traffic, entries: Mapping[str, Entry]) -> None:
    if traffic.model is None:
        return  # demand_of says so
    is_image = isinstance(entries[traffic.model].model, PipelineSpec)
    if is_image != (traffic.kind == "image"):
        made = "images" if is_image else "text"
        raise ConfigError(
            f"class {traffic.name} asks for {traffic.kind}, but {traffic.model} makes {made}"
        )


def _seats(
    offers: Sequence[Offer],
    choices: Mapping[str, ModelChoice],
    entries: Mapping[str, Entry],
) -> dict[str, list[list[Seat]]]:
    """By offer: for every model and dtype its sizes, smallest first."""
    return {
        offer.name: [
            [
                Seat(
                    model=_resident(choice, dtype),
                    entry=entries[name],
                    device=offer.device,
                    tp=tp,
                )
                for tp in _tp_sizes(offer, choice, entries[name])
            ]
            for name, choice in choices.items()
            for dtype in choice.dtypes
        ]
        for offer in offers
    }


def _tp_sizes(offer: Offer, choice: ModelChoice, entry: Entry) -> list[int]:
    """Powers of two that fill a node evenly; images run on one device."""
    if isinstance(entry.model, PipelineSpec):
        return [1]
    if choice.tp_sizes:
        return sorted(choice.tp_sizes)
    powers = (2**power for power in range(7))
    return list(islice((size for size in powers if offer.node_devices % size == 0), 7))


def _fits(
    rows: Sequence[Sequence[Seat]], demands: Sequence[Demand]
) -> tuple[list[ModelFit], list[str]]:
    """Every size up to the first that works and one beyond; and what could not be tried."""
    fits: list[ModelFit] = []
    refused: list[str] = []
    for seats in rows:
        working = 0
        for seat in seats:
            own = tuple(one for one in demands if one.model == seat.model.name)
            try:
                fit = _fit(seat, own)
            except (ConfigError, SpecError) as error:
                refused.append(f"{seat.model.name} on {seat.device.name} x{seat.tp}: {error}")
                continue
            fits.append(fit)
            working += not fit.rejection
            if working == _TP_TRIED:
                break
    return fits, refused


def _fit(seat: Seat, demands: tuple[Demand, ...]) -> ModelFit:
    """Raises ConfigError for what cannot run at all: no such dtype, heads that do not divide."""
    is_image = isinstance(seat.entry.model, PipelineSpec)
    return image_fit(seat, demands) if is_image else text_fit(seat, demands)
