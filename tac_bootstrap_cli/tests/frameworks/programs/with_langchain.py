"""A lead that has a researcher as a tool and asks it twice, and an agent whose model is down."""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from langchain.agents import create_agent
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from langchain_core.tools import tool
from opentelemetry.instrumentation.auto_instrumentation import initialize
from truth import DOWN, Truth

initialize()

truth = Truth(agents=[("lead", None), ("researcher", "lead"), ("researcher", "lead"), ("broken", None)], failed=["broken"])


class Scripted(GenericFakeChatModel):
    """The fake model of LangChain, which may be told of tools."""

    def bind_tools(self, tools: Any, **options: Any) -> "Scripted":
        return self


def answers(agent: str, *tools: str) -> Iterator[AIMessage]:
    """Asks for these tools, one after the other, then has an answer; and so again."""
    while True:
        for count, name in enumerate((*tools, None)):
            calls = [{"name": name, "args": {"topic": "bees"}, "id": f"call-{agent}-{count}"}] if name else []
            tokens, output, cached = truth.answered(agent)
            usage = {"input_tokens": tokens, "output_tokens": output, "total_tokens": tokens + output}
            usage["input_token_details"] = {"cache_read": cached}
            yield AIMessage("" if calls else f"{agent} is done.", tool_calls=calls, usage_metadata=usage)


def down() -> Iterator[AIMessage]:
    truth.refused.append("broken")
    raise RuntimeError(DOWN)
    yield


def asked(prompt: str) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": prompt}]}


@tool
def look_up(topic: str) -> str:
    """Looks something up."""
    truth.tools.append(("researcher", "look_up"))
    return f"All about {topic}."


researcher = create_agent(Scripted(messages=answers("researcher", "look_up")), [look_up], name="researcher")


@tool
def ask_researcher(topic: str) -> str:
    """Has the researcher find something out."""
    truth.tools.append(("lead", "ask_researcher"))
    return researcher.invoke(asked(topic))["messages"][-1].content


lead = create_agent(Scripted(messages=answers("lead", "ask_researcher", "ask_researcher")), [ask_researcher], name="lead")
lead.invoke(asked("Write about bees."))
with suppress(RuntimeError):
    create_agent(Scripted(messages=down()), [], name="broken").invoke(asked("Work."))
truth.tell()
