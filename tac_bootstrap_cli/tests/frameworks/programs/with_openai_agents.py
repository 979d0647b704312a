"""A lead that asks a researcher twice and hands over to a writer, and an agent whose model is down."""

from contextlib import suppress

from agents import Agent, OpenAIChatCompletionsModel, Runner, add_trace_processor, function_tool
from chat import down, scripted
from openai import APIError, AsyncOpenAI
from truth import Truth

from tac_orchestrator.ingest.openai_agents import RecordingProcessor

add_trace_processor(RecordingProcessor())

truth = Truth(
    agents=[("lead", None), ("researcher", "lead"), ("researcher", "lead"), ("writer", "lead"), ("broken", None)],
    failed=["broken"],
)

ASK = ("ask_researcher", {"input": "bees"})
LOOK_UP = ("look_up", {"topic": "bees"})
HAND_OVER = ("transfer_to_writer", {})


def model(address: str) -> OpenAIChatCompletionsModel:
    return OpenAIChatCompletionsModel("fake-model", AsyncOpenAI(base_url=address, api_key="unused", max_retries=0))


@function_tool
def look_up(topic: str) -> str:
    """Looks something up."""
    truth.tools.append(("researcher", "look_up"))
    return f"All about {topic}."


finds, leads = scripted(truth, "researcher", LOOK_UP, None), scripted(truth, "lead", ASK, ASK, HAND_OVER)
researcher = Agent("researcher", model=model(finds), tools=[look_up])
writer = Agent("writer", model=model(scripted(truth, "writer", None)))
asking = researcher.as_tool("ask_researcher", "Finds things out.")
lead = Agent("lead", model=model(leads), tools=[asking], handoffs=[writer])

Runner.run_sync(lead, "Write about bees.")
with suppress(APIError):
    Runner.run_sync(Agent("broken", model=model(down(truth, "broken"))), "Work.")
truth.tools += [("lead", "ask_researcher")] * 2
truth.tell()
