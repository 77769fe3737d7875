"""Numbers: how sure they are, and how they are written."""

import math
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

    def test_a_likely_regression_that_is_not_shown_is_one_still(self):
        scenario = Scenario("encode/events", "throughput")
        for number in range(max(LOOKS)):
            scenario.add([1.0], [1.06 if number % 2 else 1.18])
        verdict = scenario.verdict()
        self.assertEqual((verdict.text, verdict.regression), ("REGRESSION, likely", True))

    def test_less_than_the_threshold_is_none(self):
        scenario = Scenario("latency/one row", "latency")
        for number in range(min(LOOKS)):
            scenario.add([1.0], [1.12 + number / 1000])
        self.assertEqual(scenario.verdict().text, "no regression")


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
