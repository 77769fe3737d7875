"""The servers of a run: started, stopped, missing, or somebody else's."""

from .checkout import InACheckout


class Servers(InACheckout):
    def test_one_that_does_not_start_says_why_and_the_other_is_stopped(self):
        self.checkout.write("tests/mysql.start.fails", "")
        status, said = self.checkout.run("--quick", "--group", "encode")
        self.assertEqual(status, 1)
        self.assertIn("mysql: the port is taken", said)
        self.assert_servers_were_stopped()

    def test_those_that_the_environment_names_are_used_and_not_stopped(self):
        (self.checkout.root / "port").write_text("1")
        named = {"LANDFALL_TEST_POSTGRES": str(self.checkout.root), "LANDFALL_TEST_MYSQL": str(self.checkout.root)}
        self.assertEqual(self.checkout.run("--quick", "--group", "encode", env=named)[0], 0)
        self.assertEqual(self.checkout.log("postgres") + self.checkout.log("mysql"), [])

    def test_a_folder_without_a_server_is_an_error_that_says_how_to_start_one(self):
        status, said = self.checkout.run("--quick", env={"LANDFALL_TEST_MYSQL": "/nowhere"})
        self.assertEqual(status, 1)
        self.assertIn("tests/mysql start /nowhere", said)

    def test_programs_that_are_missing_are_installed_or_named(self):
        advice = "no MariaDB server found; on Debian and Ubuntu: apt-get install x"
        self.checkout.write("tests/mysql", f"#!/bin/sh\necho '{advice}' >&2\nexit 1\n")
        status, said = self.checkout.run("--quick")
        self.assertEqual(status, 1)
        self.assertIn("installing", said)
        self.assertIn(advice, said)
