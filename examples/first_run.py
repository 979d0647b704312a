import asyncio
from decimal import Decimal

from tac_orchestrator import Database


async def ask_model(text: str) -> str:
    return f"1. Read the code. 2. Do what it says: {text}."  # stands for a call to a model


async def main() -> None:
    async with Database.open() as db:  # made on first use: adws/schema/orchestrator.db
        planner = await db.orchestrator_agents.register("sdlc_planner", agent_type="planner")

        # Leaving the block completes the agent; an exception fails it and keeps the reason.
        async with db.agents.run(planner, session_id="issue-42") as agent:
            async with agent.prompt("adw", name="plan", text="Plan issue 42") as prompt:
                reply = await ask_model(prompt.prompt_text)
                prompt.answer(reply, tokens_input=812, tokens_output=240, cost_usd=Decimal("0.0061"))
            await agent.log("milestone", "plan written", details={"path": "specs/issue-42.md"})

        for row in await db.agents.list(session_id="issue-42"):
            print(row.status, row.cost_usd)


asyncio.run(main())
