"""Numbers: how sure they are, what is decided from them, and how they are written."""

import math
import random
import unittest

from runner import units
from runner.gate import LOOKS, Scenario
from runner.interval import estimate


class TheInterval(unittest.TestCase):
    def test_is_the_one_in_the_books(self):
        # Hollander and Wolfe, Nonparametric Statistical Methods, example 3.1: depression scores before and after.
        before = [1.83, 0.50, 1.62, 2.48, 1.68, 1.88, 1.55, 3.06, 1.30]
        after = [0.878, 0.647, 0.598, 2.05, 1.06, 1.29, 1.06, 3.14, 1.29]
        low, middle, high = estimate([math.exp(a - b) for a, b in zip(after, before)], 0.025)
        self.assertAlmostEqual(math.log(low), -0.786, 3)
        self.assertAlmostEqual(math.log(middle), -0.46, 3)
        self.assertAlmostEqual(math.log(high), -0.010, 3)

    def test_says_nothing_from_too_few_values(self):
        self.assertEqual(estimate([1.0] * 7, 1 / 256)[::2], (0.0, float("inf")))
        self.assertEqual(estimate([1.0] * 8, 1 / 256), (1.0, 1.0, 1.0))


class AVerdict(unittest.TestCase):
    def after(self, rounds, kind, times):
        """The verdict after some rounds; `times` makes the repetitions of both builds of the number of the round."""
        scenario = Scenario("encode/events", kind)
        for number in range(rounds):
            scenario.add(*times(number))
        return scenario.verdict()

    def test_of_a_likely_regression_that_is_not_shown_is_that_it_is_one(self):
        verdict = self.after(max(LOOKS), "throughput", lambda number: ([1.0], [1.06 if number % 2 else 1.18]))
        self.assertEqual((verdict.text, verdict.regression), ("REGRESSION, likely", True))

    def test_of_what_got_slower_by_less_than_the_threshold_is_that_it_is_none(self):
        verdict = self.after(min(LOOKS), "latency", lambda number: ([1.0], [1.12 + number / 1000]))
        self.assertEqual(verdict.text, "no regression")

    def test_of_too_few_rounds_is_none(self):
        verdict = self.after(min(LOOKS) - 1, "latency", lambda _: ([1.0], [2.0]))
        self.assertEqual((verdict.settled, verdict.regression), (False, False))

    def test_is_found_where_many_repetitions_had_to_wait_for_the_processor(self):
        rng = random.Random(5)

        def times(factor):
            # The median is the one or the other, by chance.
            return [factor * rng.uniform(0.98, 1.02) * (2 if rng.random() < 0.5 else 1) for _ in range(5)]

        self.assertTrue(self.after(max(LOOKS), "throughput", lambda _: (times(1), times(1.25))).regression)
        self.assertFalse(self.after(max(LOOKS), "throughput", lambda _: (times(1), times(1))).regression)

    def test_is_against_what_only_most_repetitions_pay_for(self):
        verdict = self.after(max(LOOKS), "throughput", lambda _: ([1.0] * 5, [1.0, 1.0, 1.5, 1.5, 1.5]))
        self.assertEqual((verdict.text, verdict.estimate.measure), ("REGRESSION", "median"))


class Numbers(unittest.TestCase):
    def test_are_written_as_people_read_them(self):
        for unit, value, text in [
            ("rows/s", 881_234, "881 k rows/s"),
            ("rows/s", 2_190_000, "2.19 M rows/s"),
            ("rows/s", 9_512, "9,510 rows/s"),
            ("s", 0.1034, "103 ms"),
            ("s", 71e-9, "71.0 ns"),
            ("s", 12.3, "12.3 s"),
            ("bytes", 77 * 2**20, "77.0 MiB"),
            ("count", 12, "12"),
            ("count", 0, "0"),
        ]:
            self.assertEqual(units.human(unit, value), text)
