"""The step times that a server of these models would start learning from."""

from loadsheet.cost.pipelined_text import PipelinedTextCost
from loadsheet.cost.step_cost import ImageStepCost, TextStepCost
from loadsheet.runtime.machine_prior import image_prior, text_prior
from loadsheet.sched.affine_prior import AffinePrior
from loadsheet.sim.deployment import ReplicaGroup
from loadsheet.sim.price_book import ReplicaPrices


def served_prior(group: ReplicaGroup, prices: ReplicaPrices) -> AffinePrior:
    """Straight lines through the replica's prices, which an event log can carry."""
    sizes = {limits.model: limits.sizes[0] for limits in group.images}
    return AffinePrior(
        text={
            name: text_prior(cost)
            for name, cost in prices.costs.items()
            if isinstance(cost, TextStepCost | PipelinedTextCost)
        },
        images={
            name: image_prior(cost, sizes[name].width, sizes[name].height)
            for name, cost in prices.costs.items()
            if isinstance(cost, ImageStepCost)
        },
    )
