"""The class that the entry point names."""

import asyncio
import logging
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from outboard_plugin import BasePlatform, MethodNotFound, PluginHealth

logger = logging.getLogger("demi_mail")


class Mail(BasePlatform):
    def __init__(self) -> None:
        self.spool: Path | None = None
        self.sent = 0

    async def initialize(self, config: dict[str, Any]) -> None:
        if spool := config.get("spool"):
            self.spool = Path(spool)

    async def health_check(self) -> PluginHealth:
        details = {"sent": self.sent}
        if self.spool is None:
            return PluginHealth("degraded", "no spool is configured, mails are dropped", details)
        if not self.spool.is_dir():
            return PluginHealth("unhealthy", f"{self.spool} is no folder", details)
        return PluginHealth("healthy", details=details)

    async def handle_request(self, method: str, params: Any) -> Any:
        if method != "send":
            raise MethodNotFound(method)
        mail = EmailMessage()
        mail["To"] = params["to"]
        mail.set_content(params.get("text", ""))
        self.sent += 1
        number = self.sent
        if self.spool is not None:
            # A slow disk holds this call up, and no other.
            await asyncio.to_thread((self.spool / f"{number}.eml").write_bytes, bytes(mail))
        return {"to": params["to"], "number": number}

    async def shutdown(self) -> None:
        logger.info("%d mails were sent", self.sent)
