"""A lead that has a researcher work for it twice, and an agent whose model is down."""

from contextlib import suppress

from chat import down, scripted
from opentelemetry.instrumentation.auto_instrumentation import initialize
from smolagents import OpenAIModel, ToolCallingAgent, tool
from smolagents.utils import AgentGenerationError
from truth import Truth

initialize()

truth = Truth(agents=[("lead", None), ("researcher", "lead"), ("researcher", "lead"), ("broken", None)], failed=["broken"])

ASK = ("researcher", {"task": "Find out about bees."})
LOOK_UP = ("look_up", {"topic": "bees"})
DONE = ("final_answer", {"answer": "Done."})


def model(address: str) -> OpenAIModel:
    return OpenAIModel("fake-model", api_base=address, api_key="unused", client_kwargs={"max_retries": 0}, retry=False)


@tool
def look_up(topic: str) -> str:
    """Looks something up.

    Args:
        topic: What to look up.
    """
    truth.tools.append(("researcher", "look_up"))
    return f"All about {topic}."


finds, leads = scripted(truth, "researcher", LOOK_UP, DONE), scripted(truth, "lead", ASK, ASK, DONE)
researcher = ToolCallingAgent([look_up], model(finds), name="researcher", description="Finds things out.")
lead = ToolCallingAgent([], model(leads), managed_agents=[researcher], name="lead", description="Leads.")
broken = ToolCallingAgent([], model(down(truth, "broken")), name="broken", description="Fails.")

lead.run("Write about bees.")
with suppress(AgentGenerationError):
    broken.run("Work.")
truth.tools += [("lead", "researcher")] * 2 + [("researcher", "final_answer")] * 2 + [("lead", "final_answer")]
truth.tell()
