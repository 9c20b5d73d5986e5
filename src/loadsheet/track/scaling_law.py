"""The loss of a model of N parameters after D tokens: L(N, D) = E + A / N^alpha + B / D^beta.

Hoffmann et al. 2022 (arXiv:2203.15556), equation 2. E is what no model of this data can lose, the
second term the price of few parameters, the third that of few tokens. Training costs C = 6 N D
FLOP, from which the best N and D of a budget follow in closed form (their equation 4).
"""

from dataclasses import dataclass

FLOPS_PER_PARAMETER_TOKEN = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalingLaw:
    """Losses in nats per token; names as in the paper."""

    E: float
    A: float
    B: float
    alpha: float
    beta: float

    def loss(self, parameters: float, tokens: float) -> float:
        """Equation 2."""
        return float(self.E + self.A / parameters**self.alpha + self.B / tokens**self.beta)

    @property
    def parameters_exponent(self) -> float:
        """a of N_opt ~ C^a; the rest, 1 - a, is that of the tokens."""
        return self.beta / (self.alpha + self.beta)

    def best_parameters(self, flops: float) -> float:
        """N_opt(C) = G (C/6)^a with G = (alpha A / (beta B))^(1 / (alpha + beta))."""
        g = (self.alpha * self.A / (self.beta * self.B)) ** (1 / (self.alpha + self.beta))
        return float(g * (flops / FLOPS_PER_PARAMETER_TOKEN) ** self.parameters_exponent)

    def best_tokens(self, flops: float) -> float:
        """D_opt(C) = C / (6 N_opt)."""
        return flops / FLOPS_PER_PARAMETER_TOKEN / self.best_parameters(flops)


PUBLISHED = {
    "Hoffmann et al. 2022": ScalingLaw(E=1.69, A=406.4, B=410.7, alpha=0.34, beta=0.28),
    "Besiroglu et al. 2024": ScalingLaw(E=1.8172, A=482.01, B=2085.43, alpha=0.3478, beta=0.3658),
}
"""For contrast: web text, 70 M to 16 B parameters (arXiv:2203.15556; refit arXiv:2404.10102)."""
