"""Comparisons of builds, of which some are slowed down on purpose."""

import json
import signal
import tempfile
from concurrent.futures import ThreadPoolExecutor

from runner.gate import LOOKS

from .checkout import Checkout, InACheckout


class TheGate(InACheckout):
    def compare_ten_times(self, *planted):
        """Compares a build with itself, and what is planted with it: of each, what that was, the status, the output."""
        def five(seed):
            with tempfile.TemporaryDirectory(prefix="bench-run-") as folder:
                checkout = Checkout(folder)
                checkout.program("program", seed)
                checkout.run("--save", "main")
                # The numbers are others each time: the program counts how often it was started.
                return [self.compare(checkout, planted[turn % len(planted)]) for turn in range(5)]

        with ThreadPoolExecutor(2) as pool:
            return [compared for half in pool.map(five, (101, 211)) for compared in half]

    def compare(self, checkout, plant):
        arguments = ["--plant", f"{plant}=1.25"] if plant else []
        return plant, *checkout.run("--compare", "main", *arguments)

    def test_is_quiet_about_the_same_build_ten_times_of_ten(self):
        for _, status, said in self.compare_ten_times(None):
            self.assertEqual(status, 0, said)
            self.assertIn("no regression", said)

    def test_catches_a_planted_slowdown_ten_times_of_ten(self):
        for plant, status, said in self.compare_ten_times("upsert/changed", "latency/one row"):
            self.assertEqual(status, 1, said)
            # Nothing else is accused.
            self.assertIn(f"regression: {plant}\n", said)

    def test_measures_on_only_what_is_not_settled(self):
        self.checkout.run("--save", "main")
        self.checkout.program("program", extra={"scan/noisy": 0.9})
        self.checkout.run("--save", "main")
        status, said = self.checkout.run("--compare", "main")
        self.assertEqual(status, 0, said)
        self.assertIn("undecided, estimate", said)
        asked = (self.checkout.root / "asked").read_text().split("\n")
        self.assertEqual((asked[0], asked[-2]), ("all", "scan/noisy"))
        self.assertEqual(len(asked) - 1, 2 * max(LOOKS))

    def test_names_what_only_one_build_has(self):
        self.checkout.program("old", extra={"encode/old": 0.05})
        self.checkout.run("--save", "main")
        self.checkout.program("new", extra={"encode/new": 0.05})
        status, said = self.checkout.run("--compare", "main", "--group", "encode")
        self.assertEqual(status, 0, said)
        self.assertIn("encode/old: only the old build has it", said)
        self.assertIn("encode/new: only the new build has it", said)
        self.assertNotIn("scan/all", said)

    def test_an_unknown_group_is_an_error_that_lists_those_that_are_compared(self):
        self.checkout.run("--save", "main")
        status, said = self.checkout.run("--compare", "main", "--group", "slow")
        self.assertEqual(status, 1)
        self.assertIn("no such group: slow. There are: encode, upsert, latency, scan", said)
        self.assert_servers_were_stopped()

    def test_reports_what_it_found(self):
        self.checkout.run("--save", "main")
        status, _ = self.checkout.run("--compare", "main", "--plant", "encode/events=2")
        self.assertEqual(status, 1)
        (folder,) = (self.checkout.root / "target/bench/comparisons").iterdir()
        self.assertIn("| REGRESSION |", (folder / "summary.md").read_text())
        page = (folder / "report.html").read_text()
        self.assertIn("regression: encode/events", page)
        self.assertIn("slowed down on purpose: encode/events=2", page)
        # Not the copies of both builds, which are large.
        self.assertEqual(
            sorted(file.name for file in folder.iterdir()), ["output.txt", "report.html", "rounds.jsonl", "summary.md"]
        )

    def test_interrupted_it_says_what_it_found_so_far(self):
        self.checkout.run("--save", "main")
        self.checkout.write("stop after 24", "")
        process = self.checkout.start("--compare", "main", "--plant", "scan/all=2")
        self.checkout.wait_for("sleeping")
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=20)
        self.assertEqual(process.returncode, 130)
        self.assertIn("PARTIAL: ended before all were settled", out)
        self.assertIn("regression: scan/all", out)
        self.assert_servers_were_stopped()

    def test_the_build_that_is_first_is_the_second_in_the_next_round(self):
        self.checkout.run("--save", "main")
        self.checkout.run("--compare", "main")
        (folder,) = (self.checkout.root / "target/bench/comparisons").iterdir()
        sides = [json.loads(line)["side"] for line in (folder / "rounds.jsonl").read_text().splitlines()]
        self.assertEqual([side for side in sides[::4]][:4], ["old", "new", "new", "old"])

    def test_a_build_that_fails_is_no_verdict_but_an_error(self):
        self.checkout.run("--save", "main")
        self.checkout.executable = self.checkout.write(
            "bad", "#!/bin/sh\n[ -n \"$LANDFALL_BENCH_GATE\" ] || exit 0\necho 'out of order'\nexit 3\n"
        )
        status, said = self.checkout.run("--compare", "main")
        self.assertEqual(status, 1)
        self.assertIn("the new build failed in round 1:", said)
        self.assertIn("out of order", said)
        self.assert_servers_were_stopped()
