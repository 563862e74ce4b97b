"""Without a process: the plugin against a host in memory."""

import unittest

from outboard_plugin import PluginError
from outboard_plugin.testing import FakeHost

from plugin import plugin


class Greetings(unittest.TestCase):
    def test_it_greets(self) -> None:
        with FakeHost(plugin, config={"greeting": "good morning"}) as host:
            self.assertEqual(host.call("greet", {"name": "Ada"}), "good morning, Ada")

    def test_a_name_is_needed(self) -> None:
        with FakeHost(plugin) as host, self.assertRaises(PluginError) as refused:
            host.call("greet", {})
        self.assertEqual(refused.exception.code, -32602)


if __name__ == "__main__":
    unittest.main()
