"""A supervisor that hands over to a researcher and to a writer, who is a graph with a researcher in it; and a broken agent."""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from langchain.agents import create_agent
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from langchain_core.tools import tool
from langgraph_supervisor import create_supervisor
from openinference.instrumentation.langchain import LangChainInstrumentor
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from truth import DOWN, Truth

provider = TracerProvider()
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
trace.set_tracer_provider(provider)
LangChainInstrumentor().instrument()

truth = Truth(
    agents=[("supervisor", None), ("researcher", "supervisor"), ("writer", "supervisor"), ("broken", None)], failed=["broken"]
)


class Scripted(GenericFakeChatModel):
    """The fake model of LangChain, which may be told of tools."""

    def bind_tools(self, tools: Any, **options: Any) -> "Scripted":
        return self


def answers(agent: str, *tools: str) -> Iterator[AIMessage]:
    """Asks for these tools, one after the other, then has an answer."""
    for count, name in enumerate((*tools, None)):
        arguments = {"topic": "bees"} if name == "look_up" else {}
        calls = [{"name": name, "args": arguments, "id": f"call-{agent}-{count}"}] if name else []
        tokens, output, cached = truth.answered(agent)
        usage = {"input_tokens": tokens, "output_tokens": output, "total_tokens": tokens + output}
        usage["input_token_details"] = {"cache_read": cached}
        truth.tools += [(agent, name)] if name else []
        yield AIMessage("" if calls else f"{agent} is done.", tool_calls=calls, usage_metadata=usage)


def down() -> Iterator[AIMessage]:
    truth.refused.append("broken")
    raise RuntimeError(DOWN)
    yield


@tool
def look_up(topic: str) -> str:
    """Looks something up."""
    return f"All about {topic}."


researcher = create_agent(Scripted(messages=answers("researcher", "look_up")), [look_up], name="researcher")
writer = create_agent(Scripted(messages=answers("writer")), [], name="writer")
leads = Scripted(messages=answers("supervisor", "transfer_to_researcher", "transfer_to_writer"))
team = create_supervisor([researcher, writer], model=leads).compile(name="team")

prompt = {"messages": [{"role": "user", "content": "Write about bees."}]}
team.invoke(prompt)
with suppress(RuntimeError):
    create_agent(Scripted(messages=down()), [], name="broken").invoke(prompt)
truth.tell()
