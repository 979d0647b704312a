"""A lead that asks a researcher twice and hands over to a writer, and an agent whose model is down."""

import asyncio
from contextlib import suppress
from typing import Any

from llama_index.core.agent.workflow import AgentWorkflow, FunctionAgent
from llama_index.core.base.llms.types import ToolCallBlock
from llama_index.core.llms import ChatMessage, ChatResponse, ChatResponseAsyncGen
from llama_index.core.llms.callbacks import llm_chat_callback
from llama_index.core.llms.mock import MockFunctionCallingLLM
from openinference.instrumentation.llama_index import LlamaIndexInstrumentor
from opentelemetry.instrumentation.auto_instrumentation import initialize
from truth import DOWN, Truth

initialize()
LlamaIndexInstrumentor().instrument()

truth = Truth(
    agents=[("lead", None), ("researcher", "lead"), ("researcher", "lead"), ("writer", "lead"), ("broken", None)],
    failed=["broken"],
)


class Scripted(MockFunctionCallingLLM):
    """The fake model of LlamaIndex, with tokens. It takes these steps, one after the other, again and again."""

    agent: str
    steps: list[tuple[str, dict[str, str]] | None]
    count: int = 0

    @llm_chat_callback()
    async def astream_chat(self, messages: Any, **options: Any) -> ChatResponseAsyncGen:
        async def answers() -> ChatResponseAsyncGen:
            yield self._answer()

        return answers()

    def _answer(self) -> ChatResponse:
        step = self.steps[self.count % len(self.steps)]
        self.count += 1
        tokens, output, cached = truth.answered(self.agent)
        message = ChatMessage(role="assistant", content=f"{self.agent} is done.")
        if step is not None:
            truth.tools.append((self.agent, step[0]))
            call = ToolCallBlock(tool_call_id=f"call-{self.agent}-{self.count}", tool_name=step[0], tool_kwargs=step[1])
            message = ChatMessage(role="assistant", blocks=[call])
        usage = {"prompt_tokens": tokens, "completion_tokens": output, "total_tokens": tokens + output}
        usage["prompt_tokens_details"] = {"cached_tokens": cached}
        return ChatResponse(message=message, raw={"usage": usage}, delta=message.content or "")


class Down(MockFunctionCallingLLM):
    @llm_chat_callback()
    async def astream_chat(self, messages: Any, **options: Any) -> ChatResponseAsyncGen:
        truth.refused.append("broken")
        raise RuntimeError(DOWN)


def look_up(topic: str) -> str:
    """Looks something up."""
    return f"All about {topic}."


finds = Scripted(agent="researcher", steps=[("look_up", {"topic": "bees"}), None])
researcher = FunctionAgent(name="researcher", description="Finds things out.", llm=finds, tools=[look_up])


async def ask_researcher(topic: str) -> str:
    """Has the researcher find something out."""
    return str(await researcher.run(topic))


ASK = ("ask_researcher", {"topic": "bees"})
HAND_OVER = ("handoff", {"to_agent": "writer", "reason": "It is to be written."})
leads = Scripted(agent="lead", steps=[ASK, ASK, HAND_OVER])
lead = FunctionAgent(name="lead", description="Leads.", llm=leads, tools=[ask_researcher], can_handoff_to=["writer"])
writer = FunctionAgent(name="writer", description="Writes.", llm=Scripted(agent="writer", steps=[None]))


async def main() -> None:
    await AgentWorkflow(agents=[lead, writer], root_agent="lead").run("Write about bees.")
    with suppress(RuntimeError):
        await FunctionAgent(name="broken", llm=Down(), streaming=True).run("Work.")


asyncio.run(main())
truth.tell()
