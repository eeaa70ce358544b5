"""The bench tells what one takes longer than another from what a machine does meanwhile."""

from __future__ import annotations

import pytest

from toggle_e2e.paired import is_within, of_medians, ratio

QUICK = [0.080, 0.082, 0.081, 0.079]
SLOW = [0.120, 0.118, 0.121, 0.119]


@pytest.mark.parametrize(
    ("ours", "theirs", "expected"),
    [
        pytest.param({"help": QUICK, "stop": SLOW}, {"help": QUICK, "stop": SLOW}, 1.0, id="the same"),
        pytest.param(
            {"help": [one + 0.005 for one in QUICK], "stop": [one + 0.005 for one in SLOW]},
            {"help": QUICK, "stop": SLOW},
            1.05,
            id="5 ms more where a hundred are usual",
        ),
        # The halves of the times lie on either side of a gap; where both are as slow, nobody is slower.
        pytest.param(
            {"help": [*QUICK, 0.130], "stop": SLOW}, {"help": [*QUICK, 0.130], "stop": SLOW}, 1.0, id="a slow moment"
        ),
        pytest.param({"help": QUICK, "stop": [*SLOW[:-1], 0.9]}, {"help": QUICK, "stop": SLOW}, 1.0, id="one outlier"),
        pytest.param({"help": [0.080] * 4}, {"help": [0.090] * 4}, 1 - 1 / 9, id="faster"),
    ],
)
def test_times_are_compared_by_pairs(
    ours: dict[str, list[float]], theirs: dict[str, list[float]], expected: float
) -> None:
    assert ratio(ours, theirs) == pytest.approx(expected, abs=0.002)


@pytest.mark.parametrize(("more", "expected"), [(0.004, True), (0.007, False)])
def test_a_budget_is_broken_where_both_ways_of_comparing_say_so(more: float, expected: bool) -> None:
    theirs = {"help": QUICK, "stop": SLOW}
    ours = {command: [one + more for one in times] for command, times in theirs.items()}
    assert is_within(ours, theirs, 1.05) is expected


def test_one_slow_moment_breaks_no_budget() -> None:
    theirs = {"help": QUICK, "stop": SLOW}
    # The median of all is in the gap, and by pairs nothing is slower.
    ours = {"help": [*QUICK[:-1], 0.119], "stop": SLOW}
    assert of_medians(ours, theirs) > 1.05 and is_within(ours, theirs, 1.05)


def test_what_has_no_pair_is_an_error() -> None:
    with pytest.raises(ValueError, match="longer|shorter"):
        ratio({"help": QUICK[:-1]}, {"help": QUICK})
