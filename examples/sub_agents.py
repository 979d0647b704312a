"""A planner that spawns builders, which work at the same time. One fails; the others are not disturbed."""

import asyncio

from tac_orchestrator import AgentRun, Database, OrchestratorAgent


async def build(planner: AgentRun, builder: OrchestratorAgent, part: str) -> None:
    async with planner.spawn(builder, context={"part": part}) as agent:
        await agent.log("milestone", f"{part} begun")
        if part == "cellar":
            raise RuntimeError("ground water")


async def main() -> None:
    async with Database.open() as db:
        planner = await db.orchestrator_agents.register("planner", agent_type="planner")
        builder = await db.orchestrator_agents.register("builder", agent_type="builder")
        async with db.agents.run(planner, session_id="house") as agent:
            parts = ("roof", "cellar", "door")
            await asyncio.gather(*(build(agent, builder, part) for part in parts), return_exceptions=True)

        for node in await db.sessions.tree("house"):
            part = (node.context or {}).get("part", "")
            print("  " * node.depth + f"{node.name} {part}".strip(), node.status, node.error_message or "")


asyncio.run(main())
