"""A crew of a researcher and a writer, who has the researcher find out more; and a crew whose model is down."""

from contextlib import suppress

from chat import down, scripted
from crewai import LLM, Agent, Crew, Task
from crewai.tools import tool
from openai import APIError
from openinference.instrumentation.crewai import CrewAIInstrumentor
from opentelemetry.instrumentation.auto_instrumentation import initialize
from truth import Truth

initialize()
CrewAIInstrumentor().instrument(use_event_listener=True)

truth = Truth(agents=[("researcher", None), ("writer", None), ("researcher", "writer"), ("broken", None)], failed=["broken"])

LOOK_UP = ("look_up", {"topic": "bees"})
DELEGATE = ("delegate_work_to_coworker", {"task": "Find out more.", "context": "Bees.", "coworker": "researcher"})


def agent(role: str, address: str, **options: object) -> Agent:
    llm = LLM(model="openai/gpt-4o-mini", base_url=address, api_key="unused", max_retries=0)
    return Agent(role=role, goal="Help.", backstory="Knows bees.", llm=llm, max_retry_limit=0, **options)


@tool("look_up")
def look_up(topic: str) -> str:
    """Looks something up."""
    truth.tools.append(("researcher", "look_up"))
    return f"All about {topic}."


def crew(*agents: Agent) -> Crew:
    tasks = [Task(description="Write about bees.", expected_output="A text.", agent=one) for one in agents]
    return Crew(agents=list(agents), tasks=tasks, tracing=False)


researcher = agent("researcher", scripted(truth, "researcher", LOOK_UP, None), tools=[look_up])
writer = agent("writer", scripted(truth, "writer", DELEGATE, None), allow_delegation=True)
crew(researcher, writer).kickoff()
with suppress(APIError):
    crew(agent("broken", down(truth, "broken"))).kickoff()
truth.tools.append(("writer", "delegate_work_to_coworker"))
truth.tell()
