"""The plugin {{name}}."""

from dataclasses import dataclass

from outboard_plugin import Plugin


@dataclass
class Config:
    greeting: str = "hello"


@dataclass
class Greet:
    name: str


plugin = Plugin("{{name}}", "0.1.0", config=Config)


@plugin.method
def greet(params: Greet) -> str:
    """Greets somebody."""
    return f"{plugin.config.greeting}, {params.name}"


if __name__ == "__main__":
    plugin.run()
