"""Where a server is, what it may be told about it, and what nobody is to see of it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit, urlunsplit

# What libpq understands and the driver would hand on to the server, which does not.
_CLIENT_ONLY = ("connect_timeout", "application_name", "keepalives", "keepalives_idle", "channel_binding", "gssencmode")

# Which of the hosts this is can only be said of all of them.
_OF_ALL_HOSTS = "prefer-standby"


@dataclass(frozen=True, slots=True)
class Address:
    """A connection URL, taken apart, and into one for each host: one that is silent is not to use up the patience that the next
    one needs. `target` is what people are shown: it has no secret."""

    urls: tuple[str, ...]
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
        together = [hosts] if query.get("target_session_attrs") == _OF_ALL_HOSTS else hosts.split(",")
        return cls(
            urls=tuple(urlunsplit(("postgresql", f"{user}{at}{one}", parts.path, urlencode(kept), "")) for one in together),
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
