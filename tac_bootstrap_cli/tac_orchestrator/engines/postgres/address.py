"""Where a server is, what it may be told about it, and what nobody is to see of it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit, urlunsplit

# What libpq understands and the driver would hand on to the server, which does not.
_CLIENT_ONLY = ("connect_timeout", "application_name", "keepalives", "keepalives_idle", "channel_binding", "gssencmode")


@dataclass(frozen=True, slots=True)
class Address:
    """A connection URL, taken apart. `target` is what people are shown: it has no secret."""

    url: str
    target: str
    database: str
    application: str
    connect_timeout_s: float
    secrets: tuple[str, ...]

    @classmethod
    def of(cls, text: str) -> Address:
        parts = urlsplit(text)
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        user, at, hosts = parts.netloc.rpartition("@")
        name, _, password = user.partition(":")
        database = unquote(parts.path.lstrip("/")) or query.get("dbname") or query.get("database") or unquote(name)
        shown = urlunsplit(("postgresql", f"{name}{at}{hosts}" if name else hosts, f"/{quote(database)}", "", ""))
        kept = {key: value for key, value in query.items() if key not in _CLIENT_ONLY}
        return cls(
            url=urlunsplit(("postgresql", parts.netloc, parts.path, urlencode(kept), "")),
            target=shown,
            database=database,
            application=query.get("application_name") or "tac-orchestrator",
            connect_timeout_s=_seconds(query.get("connect_timeout")),
            secrets=tuple(filter(None, (password, unquote(password), query.get("password"), query.get("sslpassword")))),
        )

    def without_secrets(self, text: str) -> str:
        """What a driver says may repeat what it was given."""
        for secret in self.secrets:
            text = re.sub(re.escape(secret), "…", text)
        return text


def _seconds(text: str | None) -> float:
    try:
        return max(float(text or 0), 0) or 10.0
    except ValueError:
        return 10.0
