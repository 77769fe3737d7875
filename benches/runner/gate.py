"""Whether a scenario got slower, decided from rounds in which the old and the new build did the same work."""

import statistics
from dataclasses import dataclass, field

from .interval import estimate

# How many times as long it may take. A tenth less throughput is a ninth more time.
THRESHOLDS = {"throughput": 1 / 0.9, "latency": 1.15}

# What is taken of the repetitions of a round. Where others want the processor too, a repetition is either let alone or
# takes twice as long, and the median is now the one and now the other: the fastest says more. But what only some
# repetitions pay for is seen in the median alone.
MEASURES = {"median": statistics.median, "fastest": min}

# After how many rounds is looked, and at what risk of each bound: with both measures, 1 % in all. Ten is the first
# number of rounds that can say anything at such a risk. Even numbers: who comes second in a round finds the caches as
# the other left them, and both shall have been second equally often.
LOOKS = {10: 0.001, 14: 0.001, 18: 0.001, 24: 0.001, 32: 0.001}


@dataclass
class Estimate:
    """How many times as long the new build takes, by one of the measures."""

    measure: str
    low: float
    ratio: float
    high: float


@dataclass
class Verdict:
    """What can be said of a scenario; `settled` if more rounds would not change it."""

    text: str
    settled: bool
    regression: bool
    estimate: Estimate


@dataclass
class Scenario:
    """One that both builds have, and the repetitions of each round, in seconds."""

    name: str
    kind: str
    old: list = field(default_factory=list)
    new: list = field(default_factory=list)

    def add(self, old, new):
        """A round: the repetitions of both builds."""
        self.old.append(old)
        self.new.append(new)

    @property
    def threshold(self):
        """The ratio new/old above which it is a regression."""
        return THRESHOLDS[self.kind]

    def _estimate(self, measure):
        rounds = len(self.old)
        # What was measured since the last look waits for the next: looking more often would raise the risk.
        looked = max((look for look in LOOKS if look <= rounds), default=0)
        used, risk = (looked, LOOKS[looked]) if looked else (rounds, 0.0)
        of = MEASURES[measure]
        return Estimate(measure, *estimate([of(new) / of(old) for old, new in zip(self.old[:used], self.new)], risk))

    def verdict(self):
        """Judges what is there so far."""
        estimates = [self._estimate(measure) for measure in MEASURES]
        slower = [one for one in estimates if one.low > self.threshold]
        if slower:
            return Verdict("REGRESSION", True, True, slower[0])
        # The narrower one; before the first look none has an end.
        best = min(estimates, key=lambda one: one.high / one.low if one.low else one.high)
        if best.high < self.threshold and all(one.ratio < self.threshold for one in estimates):
            return Verdict("faster" if best.high < 1 else "no regression", True, False, best)
        # Not shown to be beyond the threshold; but where it is likely, and slower for sure, somebody has to look.
        if len(self.old) >= max(LOOKS) and best.ratio > self.threshold and best.low > 1:
            return Verdict("REGRESSION, likely", False, True, best)
        return Verdict(f"undecided, estimate {(best.ratio - 1) * 100:+.1f} % time", False, False, best)

    def seconds(self, side):
        """What one of the builds takes, by the measure that the verdict goes by."""
        of = MEASURES[self.verdict().estimate.measure]
        return statistics.median(of(repetitions) for repetitions in getattr(self, side))
