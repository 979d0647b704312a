"""A plain model of what a store holds: a few dictionaries, and what follows from them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

WORKING = ("initializing", "planning", "executing", "reviewing")
ENDED = ("completed", "failed", "cancelled")
PRICED = "claude-sonnet-4-5"  # 3 dollars a million tokens of input, 15 of output


@dataclass
class AgentModel:
    kind: str
    session_id: str
    parent: str | None
    status: str
    started_at: datetime
    error: str | None = None
    context: dict[str, Any] | None = None


@dataclass
class PromptModel:
    agent: str
    status: str
    created_at: datetime
    model_used: str | None = None
    tokens_input: int | None = None
    tokens_output: int | None = None
    cost_usd: Decimal | None = None
    source: str | None = None
    response: str | None = None

    def settle_cost(self) -> None:
        """What is known of the cost from what else is known."""
        if self.source == "reported":
            return
        if self.status != "completed":
            self.cost_usd = self.source = None
        elif self.model_used == PRICED and self.tokens_input is not None and self.tokens_output is not None:
            self.cost_usd = Decimal(3 * self.tokens_input + 15 * self.tokens_output) / 10**6
            self.source = "priced"
        else:
            self.cost_usd, self.source = None, "unknown"

    def report(self, cost: Decimal | None) -> None:
        if cost is not None:
            self.cost_usd, self.source = cost, "reported"
        self.settle_cost()


@dataclass
class Model:
    kinds: dict[str, str] = field(default_factory=dict[str, str])
    agents: dict[str, AgentModel] = field(default_factory=dict[str, AgentModel])
    prompts: dict[str, PromptModel] = field(default_factory=dict[str, PromptModel])
    logs: dict[int, tuple[str, str, str]] = field(default_factory=dict[int, tuple[str, str, str]])
    system_logs: dict[int, str] = field(default_factory=dict[int, str])
    state_changes: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])

    def change_state(self, key: str, status: str) -> None:
        agent = self.agents[key]
        if agent.status != status:
            self.state_changes.append((key, f"{agent.status} → {status}"))
        agent.status = status

    def delete_agent(self, key: str) -> None:
        del self.agents[key]
        self.prompts = {each: prompt for each, prompt in self.prompts.items() if prompt.agent != key}
        self.logs = {number: log for number, log in self.logs.items() if log[0] != key}
        self.state_changes = [change for change in self.state_changes if change[0] != key]
        for agent in self.agents.values():
            agent.parent = None if agent.parent == key else agent.parent

    def cost_of(self, key: str) -> Decimal | None:
        known = [p.cost_usd for p in self.prompts.values() if p.agent == key and p.cost_usd is not None]
        return sum(known, Decimal()) if known else None

    def totals(self, prompts: list[PromptModel]) -> dict[str, Any]:
        """What prompts count for, once they have ended or have a cost."""
        counted = [p for p in prompts if p.cost_usd is not None or p.status in ENDED]
        known = [p.cost_usd for p in counted if p.cost_usd is not None]
        return {
            "prompt_count": len(counted),
            "prompt_failed_count": sum(p.status == "failed" for p in counted),
            "priced_count": len(known),
            "unpriced_count": sum(p.cost_usd is None and p.status == "completed" for p in counted),
            "tokens_input": sum(p.tokens_input or 0 for p in counted),
            "tokens_output": sum(p.tokens_output or 0 for p in counted),
            "cost_usd": sum(known, Decimal()) if known else None,
        }

    def session(self, session_id: str) -> dict[str, Any]:
        agents = {key: agent for key, agent in self.agents.items() if agent.session_id == session_id}
        running = sum(agent.status in WORKING for agent in agents.values())
        roots = {agent.status for agent in agents.values() if agent.parent is None}
        ended = next((status for status in ("failed", "cancelled") if status in roots), "completed")
        return {
            **self.totals([p for p in self.prompts.values() if p.agent in agents]),
            "agent_count": len(agents),
            "running_count": running,
            "failed_count": sum(agent.status == "failed" for agent in agents.values()),
            "status": "running" if running else ended,
        }

    def usage(self, group: Callable[[PromptModel], str]) -> dict[str, dict[str, Any]]:
        grouped: dict[str, list[PromptModel]] = {}
        for prompt in self.prompts.values():
            grouped.setdefault(group(prompt), []).append(prompt)
        found = {name: self.totals(prompts) for name, prompts in grouped.items()}
        return {name: totals for name, totals in found.items() if totals["prompt_count"]}
