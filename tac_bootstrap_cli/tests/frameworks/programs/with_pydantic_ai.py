"""A lead that asks a researcher twice, and an agent whose model is down."""

from contextlib import suppress

from opentelemetry.instrumentation.auto_instrumentation import initialize
from pydantic_ai import Agent
from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart, ToolCallPart, ToolReturnPart
from pydantic_ai.models.function import AgentInfo, FunctionModel
from pydantic_ai.usage import RequestUsage
from truth import DOWN, Truth

initialize()
Agent.instrument_all()

truth = Truth(agents=[("lead", None), ("researcher", "lead"), ("researcher", "lead"), ("broken", None)], failed=["broken"])


def model(agent: str, *tools: str) -> FunctionModel:
    """Asks for these tools, one after the other, then has an answer."""

    def answer(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        used = sum(isinstance(part, ToolReturnPart) for message in messages for part in message.parts)
        tokens, output, cached = truth.answered(agent)
        part = ToolCallPart(tools[used], {"topic": "bees"}) if used < len(tools) else TextPart(f"{agent} is done.")
        return ModelResponse([part], usage=RequestUsage(input_tokens=tokens, output_tokens=output, cache_read_tokens=cached))

    return FunctionModel(answer, model_name="fake-model")


def down(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
    truth.refused.append("broken")
    raise RuntimeError(DOWN)


lead = Agent(model("lead", "ask_researcher", "ask_researcher"), name="lead")
researcher = Agent(model("researcher", "look_up"), name="researcher")


@lead.tool_plain
async def ask_researcher(topic: str) -> str:
    truth.tools.append(("lead", "ask_researcher"))
    return (await researcher.run(topic)).output


@researcher.tool_plain
def look_up(topic: str) -> str:
    truth.tools.append(("researcher", "look_up"))
    return f"All about {topic}."


lead.run_sync("Write about bees.")
with suppress(RuntimeError):
    Agent(FunctionModel(down, model_name="fake-model"), name="broken").run_sync("Work.")
truth.tell()
