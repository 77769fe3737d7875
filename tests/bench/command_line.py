"""What can be asked for, and what is said to bad input."""

import os
import pty

from .checkout import InACheckout


class TheCommandLine(InACheckout):
    def test_without_a_terminal_and_arguments_it_says_how_to_use_it(self):
        status, said = self.checkout.run()
        self.assertEqual(status, 2)
        self.assertIn("usage: benches/run", said)

    def test_on_a_terminal_without_arguments_there_is_a_menu(self):
        ours, theirs = pty.openpty()
        process = self.checkout.start(stdin=theirs, stdout=theirs, stderr=theirs)
        os.close(theirs)
        # Not a number of the menu, then the one that lists.
        os.write(ours, b"99\n6\n")
        said = b""
        try:
            while chunk := os.read(ours, 4096):
                said += chunk
        except OSError:
            pass  # The terminal is gone with its last user.
        self.assertEqual(process.wait(), 0)
        os.close(ours)
        self.assertIn(b"a number from 1 to 7", said)
        self.assertIn(b"baselines: none", said)

    def test_an_unknown_group_is_an_error_that_lists_the_known_ones(self):
        status, said = self.checkout.run("--quick", "--group", "enkode")
        self.assertEqual(status, 1)
        self.assertIn("no such group: enkode. There are: encode, latency, concurrency, slow, broken", said)
        self.assertEqual(self.checkout.log("postgres"), [])

    def test_a_missing_baseline_is_an_error_that_lists_those_there_are(self):
        status, said = self.checkout.run("--compare", "main")
        self.assertEqual(status, 1)
        self.assertIn("no baseline 'main'. There are none yet. Make one", said)
        self.assertIn("benches/run --save main", said)
        self.assertEqual(self.checkout.run("--save", "v0.1")[0], 0)
        self.assertIn("There are: v0.1.", self.checkout.run("--compare", "main")[1])

    def test_a_baseline_has_no_name_that_leads_elsewhere(self):
        status, said = self.checkout.run("--save", "../main")
        self.assertEqual(status, 1)
        self.assertIn("a baseline's name is letters", said)

    def test_a_build_older_than_the_comparison_is_not_kept(self):
        self.checkout.executable = self.checkout.write("old", "#!/bin/sh\n")
        status, said = self.checkout.run("--save", "main")
        self.assertEqual(status, 1)
        self.assertIn("cannot be compared", said)

    def test_cleanup_removes_everything_but_only_when_told(self):
        self.checkout.run("--save", "main")
        self.assertEqual(self.checkout.run("--cleanup")[0], 1)
        self.assertTrue((self.checkout.root / "target/bench/baselines/main").exists())
        self.assertEqual(self.checkout.run("--cleanup", "--yes")[0], 0)
        self.assertFalse((self.checkout.root / "target/bench").exists())
