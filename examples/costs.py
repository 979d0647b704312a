"""What was spent: tokens are priced when no cost is given, and what cannot be priced is unknown, never nothing."""

import asyncio

from tac_orchestrator import Database

REQUESTS = [("claude-opus-5-5", 12_000, 800), ("claude-haiku-5-5", 90_000, 4_000), ("our-own-model", 5_000, 500)]


async def main() -> None:
    async with Database.open() as db:
        await db.orchestrator_agents.register("builder", agent_type="builder")
        async with db.agents.run("builder", session_id="issue-42") as agent:
            for model, tokens_input, tokens_output in REQUESTS:
                async with agent.prompt("adw", text="Build it.", model=model) as prompt:
                    prompt.answer("Built.", tokens_input=tokens_input, tokens_output=tokens_output)

        for usage in await db.usage.by("model"):
            print(f"{usage.group}: {usage.tokens_input} tokens read, {usage.cost_usd or 'unknown'} USD")
        for session in await db.sessions.list():
            print(f"{session.session_id}: {session.cost_usd} USD, and {session.unpriced_count} request without a price")
        for prompt in await db.prompts.list(model_used="our-own-model"):
            print(prompt.cost_basis)


asyncio.run(main())
