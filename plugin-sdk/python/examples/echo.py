from outboard_plugin import Plugin

plugin = Plugin("echo", "1.0.0")
plugin.method("echo", lambda params: params)
plugin.run()
