"""Functions as agents: each call is a run, and one that is called by another is its child."""

import asyncio

from tac_orchestrator import Database

db = Database.open()


@db.recorded("builder", agent_type="builder")
async def build(part: str) -> str:
    if part == "chimney":
        raise ValueError("no bricks left")
    return f"{part} built"


@db.recorded("planner", agent_type="planner", session_id="house")
async def plan() -> list[str | BaseException]:
    return list(await asyncio.gather(build("roof"), build("chimney"), return_exceptions=True))


async def main() -> None:
    async with db:
        print(await plan())
        for node in await db.sessions.tree("house"):
            print("  " * node.depth + f"{node.name}: {node.status}", node.error_message or "")


asyncio.run(main())
