"""How sure a ratio is: the Hodges-Lehmann estimate and the interval of Wilcoxon's signed-rank test.

The logarithm of new/old is distributed evenly around that of the true ratio whatever the noise looks like, as long as
it is the same on both sides: an outlier on the one is as likely as on the other. That is all this test asks for, and
it bears outliers, unlike a mean, and uses more of the values than a median.
"""

import functools
import math


@functools.cache
def _rank(count, risk):
    """How many of the averages to leave out at each end, or None if there are too few values for such a risk."""
    # ways[w]: how many of the 2^count ways to put signs make a sum of ranks w.
    ways = [1]
    for rank in range(1, count + 1):
        longer = ways + [0] * rank
        for weight, number in enumerate(ways):
            longer[weight + rank] += number
        ways = longer
    so_far, rank = 0, None
    for weight, number in enumerate(ways):
        so_far += number
        if so_far > risk * 2**count:
            break
        rank = weight
    return rank


def estimate(ratios, risk):
    """The ratio, and the bounds that it lies below of, and above of, each with this risk: (low, ratio, high)."""
    logs = [math.log(ratio) for ratio in ratios]
    averages = sorted((a + b) / 2 for index, a in enumerate(logs) for b in logs[index:])
    middle = len(averages) // 2
    median = averages[middle] if len(averages) % 2 else (averages[middle - 1] + averages[middle]) / 2
    rank = _rank(len(ratios), risk)
    if rank is None:
        return 0.0, math.exp(median), math.inf
    return math.exp(averages[rank]), math.exp(median), math.exp(averages[-1 - rank])
