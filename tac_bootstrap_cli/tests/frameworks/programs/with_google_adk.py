"""A lead that hands over to a writer, who asks a researcher twice, and an agent whose model is down."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress

from google.adk.agents import LlmAgent
from google.adk.models import BaseLlm, LlmRequest, LlmResponse
from google.adk.runners import InMemoryRunner
from google.adk.tools.agent_tool import AgentTool
from google.genai.types import Content, GenerateContentResponseUsageMetadata, Part
from opentelemetry.instrumentation.auto_instrumentation import initialize
from truth import DOWN, Truth

initialize()

truth = Truth(
    agents=[("lead", None), ("writer", "lead"), ("researcher", "writer"), ("researcher", "writer"), ("broken", None)],
    failed=["broken"],
)


class Scripted(BaseLlm):
    """Asks for these tools, one after the other, then has an answer; and so again."""

    model: str = "fake-model"
    agent: str
    tools: list[tuple[str, dict[str, str]]]
    count: int = 0

    async def generate_content_async(self, llm_request: LlmRequest, stream: bool = False) -> AsyncGenerator[LlmResponse]:
        place = self.count % (len(self.tools) + 1)
        self.count += 1
        tokens, output, cached = truth.answered(self.agent)
        part = Part(text=f"{self.agent} is done.")
        if place < len(self.tools):
            name, arguments = self.tools[place]
            truth.tools.append((self.agent, name))
            part = Part.from_function_call(name=name, args=arguments)
        usage = GenerateContentResponseUsageMetadata(
            prompt_token_count=tokens, candidates_token_count=output, cached_content_token_count=cached
        )
        yield LlmResponse(content=Content(role="model", parts=[part]), usage_metadata=usage)


class Down(BaseLlm):
    model: str = "fake-model"

    async def generate_content_async(self, llm_request: LlmRequest, stream: bool = False) -> AsyncGenerator[LlmResponse]:
        truth.refused.append("broken")
        raise RuntimeError(DOWN)
        yield


def look_up(topic: str) -> str:
    """Looks something up."""
    return f"All about {topic}."


finds = Scripted(agent="researcher", tools=[("look_up", {"topic": "bees"})])
researcher = LlmAgent(name="researcher", description="Finds things out.", model=finds, tools=[look_up])
writes = Scripted(agent="writer", tools=[("researcher", {"request": "bees"}), ("researcher", {"request": "more"})])
writer = LlmAgent(name="writer", description="Writes.", model=writes, tools=[AgentTool(researcher)])
leads = Scripted(agent="lead", tools=[("transfer_to_agent", {"agent_name": "writer"})])
lead = LlmAgent(name="lead", description="Leads.", model=leads, sub_agents=[writer])


async def run(agent: LlmAgent, prompt: str) -> None:
    runner = InMemoryRunner(agent, app_name="frameworks")
    session = await runner.session_service.create_session(app_name="frameworks", user_id="somebody")
    message = Content(role="user", parts=[Part(text=prompt)])
    async for _ in runner.run_async(user_id="somebody", session_id=session.id, new_message=message):
        pass


asyncio.run(run(lead, "Write about bees."))
with suppress(RuntimeError):
    asyncio.run(run(LlmAgent(name="broken", model=Down()), "Work."))
truth.tell()
