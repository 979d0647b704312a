"""What truly happened in a program, as its fake model saw it: the last line that the program prints."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field

DOWN = "the model is down"
"""What a model says that fails."""


@dataclass
class Truth:
    """`agents` are runs: each with the agent that started it. `requests` are those that were answered, by tokens: all that
    went in, those of them that came from the cache, and what came out. `failed` are agents, `refused` their requests."""

    agents: list[tuple[str, str | None]]
    requests: list[tuple[str, int, int, int]] = field(default_factory=list)
    tools: list[tuple[str, str]] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    def answered(self, agent: str) -> tuple[int, int, int]:
        """Tokens for one more answer, of which no two are alike."""
        count = len(self.requests) + 1
        self.requests.append((agent, 100 * count, 10 * count, count))
        return 100 * count, 10 * count, count

    def tell(self) -> None:
        print(json.dumps(asdict(self)))
