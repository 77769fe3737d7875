"""Runs: what they leave, whole or interrupted."""

import json
import os
import signal

from .checkout import InACheckout


class ARun(InACheckout):
    def test_measures_the_groups_and_reports_them(self):
        status, said = self.checkout.run("--quick", "--group", "latency", "--group", "encode")
        self.assertEqual(status, 0, said)
        self.assertIn("measuring encode quick", said)
        # What criterion says of its work is for the file alone.
        self.assertNotIn("Benchmarking", said)
        self.assert_servers_were_stopped()
        folder = self.checkout.the_run()
        for line in ("measuring latency quick", "Benchmarking latency"):
            self.assertIn(line, (folder / "output.txt").read_text())
        about = json.loads((folder / "run.json").read_text())
        self.assertTrue(about["finished"])
        self.assertEqual(about["mode"], "quick")
        self.assertEqual(about["command"], "benches/run --quick --group latency --group encode")
        self.assertLessEqual({"cpu", "cores", "memory", "kernel"}, about["machine"].keys())
        summary = (folder / "summary.md").read_text()
        self.assertNotIn("PARTIAL", summary)
        beside = "27.0 M rows/s: pgpq <0.12> | 2.96 (2.90–3.10) | met: ratio >= 1.5"
        self.assertIn(f"| events | 80.0 M rows/s (75.0–82.0) | {beside} |", summary)
        self.assertIn("| P50 2.10, P95 4.30, P99 12.5 ms | MISSED: P99 < 10 ms |", summary)
        page = (folder / "report.html").read_text()
        self.assertNotIn("PARTIAL", page)
        self.assertIn("pgpq &lt;0.12&gt;", page)
        for section in ("throughput", "latency", "history", "table"):
            self.assertIn(f'<h2 id="{section}">', page)
        self.assertIn("<svg", page)
        # It opens without a network.
        self.assertNotRegex(page, r"https?://|<script|<link|url\(")

    def test_figures_that_are_none_are_left_out(self):
        lines = ['{"name": "encode/nothing", "unit": "s", "better": "lower", "value": null}', "[1]", "half of a li"]
        lines += ['{"name": "encode/some", "unit": "s", "better": "lower", "value": 1, "low": null, "p50": null, '
                  '"beside": {"name": "other", "value": null}, "ratio": [null, null, null]}']
        texts = "".join(f"echo '{line}' >>\"$LANDFALL_BENCH_RESULTS\"\n" for line in lines)
        self.checkout.executable = self.checkout.write(
            "nulls", f'#!/bin/sh\n[ "$2" != --list ] || {{ echo "encode/x: benchmark"; exit; }}\n{texts}'
        )
        status, said = self.checkout.run("--quick")
        self.assertEqual(status, 0, said)
        summary = (self.checkout.the_run() / "summary.md").read_text()
        self.assertIn("| some | 1.00 s | other |", summary)
        self.assertNotIn("nothing", summary)

    def test_shows_how_it_grows_with_the_writers(self):
        self.assertEqual(self.checkout.run("--full", "--group", "concurrency")[0], 0)
        page = (self.checkout.the_run() / "report.html").read_text()
        self.assertIn('<h2 id="writers">Scaling by writers', page)
        self.assertIn("concurrency/insert, 8: 7.20 M rows/s", page)

    def test_shows_earlier_runs_beside_it(self):
        self.checkout.run("--quick", "--group", "encode")
        first = self.checkout.the_run()
        about = json.loads((first / "run.json").read_text()) | {"date": "2020-02-02T02:02:02Z"}
        (first / "run.json").write_text(json.dumps(about))
        first.rename(first.with_name("earlier"))
        self.checkout.run("--quick", "--group", "encode")
        folders = sorted((self.checkout.root / "target/bench/results").iterdir())
        self.assertIn("2020-02-02T02:02:02Z", (folders[0] / "report.html").read_text())

    def test_a_group_that_fails_does_not_keep_others_from_being_measured(self):
        status, said = self.checkout.run("--quick", "--group", "broken", "--group", "encode")
        self.assertEqual(status, 1)
        self.assertIn("panicked at a bad moment", said)
        self.assertIn("these groups failed", said)
        self.assert_servers_were_stopped()
        summary = (self.checkout.the_run() / "summary.md").read_text()
        self.assertIn("**PARTIAL.** ended: encode; failed: broken.", summary)

    def test_interrupted_it_keeps_partial_results_and_stops_the_servers(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            with self.subTest(signal=number):
                process = self.checkout.start("--quick", "--group", "encode", "--group", "slow", "--group", "broken")
                self.checkout.wait_for("sleeping")
                process.send_signal(number)
                out, _ = process.communicate(timeout=20)
                self.assertEqual(process.returncode, 130)
                self.assertIn("PARTIAL results are in", out)
                self.assert_servers_were_stopped()
                folder = self.checkout.the_run()
                self.assertFalse(json.loads((folder / "run.json").read_text())["finished"])
                said = "ended: encode; interrupted in its middle: slow; not begun: broken."
                self.assertIn(f"**PARTIAL.** {said}", (folder / "summary.md").read_text())
                self.assertIn(f"<b>PARTIAL.</b> {said}", (folder / "report.html").read_text())
                self.assertIn("80.0 M rows/s", (folder / "summary.md").read_text())
                self.doCleanups()
                self.setUp()

    def test_what_a_killed_run_left_is_stopped_by_the_next(self):
        process = self.checkout.start("--quick", "--group", "slow", start_new_session=True)
        self.checkout.wait_for("sleeping")
        process.kill()
        process.communicate()
        self.assertEqual(self.checkout.log("mysql"), ["start"])
        left = json.loads((self.checkout.root / "target/bench/servers.json").read_text())
        status, said = self.checkout.run("--cleanup", "--yes")
        self.assertEqual(status, 0)
        self.assertIn("stopping the mysql that a killed run left", said)
        self.assert_servers_were_stopped()
        self.assertFalse(any(os.path.exists(folder) for folder in left.values()))

    def test_two_at_a_time_are_refused(self):
        process = self.checkout.start("--quick", "--group", "slow")
        self.checkout.wait_for("sleeping")
        status, said = self.checkout.run("--quick")
        self.assertEqual(status, 1)
        self.assertIn("another benches/run is measuring", said)
        process.terminate()
        process.communicate(timeout=20)
