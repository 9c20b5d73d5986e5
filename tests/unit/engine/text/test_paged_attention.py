import numpy as np
import pytest

from loadsheet.engine.text.paged_attention import even_groups


@pytest.mark.parametrize(
    ("contexts", "groups"),
    [
        ([], []),
        ([7], [(0, 1)]),
        ([100] * 8, [(0, 8)]),
        ([100, 200, 300, 350], [(0, 4)]),  # a cut saves 2 × 150 or 3 × 50 tokens: not worth a call
        # 7 × 3900 tokens of padding for one long context; the rest is even
        ([100] * 7 + [4000], [(0, 7), (7, 8)]),
        ([10, 10, 1000, 1000, 9000], [(0, 2), (2, 4), (4, 5)]),
        ([100, 613], [(0, 1), (1, 2)]),  # 513 tokens saved
        ([100, 612], [(0, 2)]),  # 512
    ],
)
def test_cuts_where_padding_costs_more_than_a_call(contexts, groups) -> None:
    found = even_groups(np.array(contexts, dtype=np.int64))
    assert [(group.start, group.stop) for group in found] == groups
