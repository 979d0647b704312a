"""OpenInference: kinds of spans, messages flattened into attributes, and what its instrumentations do differently."""

from __future__ import annotations

import re
from typing import Any, cast

from tac_orchestrator.ingest.identity import named
from tac_orchestrator.ingest.otel.conventions.genai import model_of, session_in
from tac_orchestrator.ingest.otel.conventions.reading import call_reading, count, known, money, name, structural, text
from tac_orchestrator.ingest.otel.facts import CallFacts, Facts, Reading, Texts, Tokens
from tac_orchestrator.ingest.otel.messages import Message, json_object, message, messages, parsed, text_of
from tac_orchestrator.ingest.otel.wire import Span

_KIND = "openinference.span.kind"
_HANDOFF = re.compile(r"handoff to (.+)", re.DOTALL)
_RUN = re.compile(r"(.+)\.run", re.DOTALL)
_ROLE = re.compile(r"(.+)\._execute_core", re.DOTALL)
_UNNAMED_GRAPH = "LangGraph"

# CrewAI: its agents are known by their roles, and their parents are only those whose turn was before.
_CREW_AI = "crewai"

# LlamaIndex: how its agents are told, which call no model where they only put together what it is to be told.
LLAMA_INDEX = "llama_index"
_STEP = ".run_agent_step"
_STEP_OF = re.compile(r".*\bcurrent_agent_name='((?:[^'\\]|\\.)+)'", re.DOTALL)
_NO_REQUEST = "._prepare_chat_with_tools"
_PART = re.compile(r"llm\.(input|output)_messages\.(\d{1,6})\.message\.(.+)", re.DOTALL)


def recognises(span: Span) -> bool:
    return _KIND in span.attributes


def read(span: Span) -> Reading:
    attributes, facts = span.attributes, structural(span)
    metadata = json_object(attributes.get("metadata"))
    facts.session = name(attributes, "session.id") or session_in(metadata)
    kind = attributes[_KIND]
    if kind == "LLM" and not span.name.endswith(_NO_REQUEST):
        return _call(span, facts)
    if kind == "TOOL":
        return _tool(span, facts)
    if kind == "AGENT":
        return _agent(span, facts, metadata)
    if kind == "CHAIN" and "langchain" in span.scope:
        _name_chain(span, facts, metadata)
    elif kind == "CHAIN" and LLAMA_INDEX in span.scope and span.name.endswith(_STEP):
        _name_step(span, facts)
    return Reading(facts)


def _call(span: Span, facts: Facts) -> Reading:
    attributes = span.attributes
    answered = json_object(attributes.get("output.value"))
    call = CallFacts(
        model=model_of(attributes, "llm.response.model_name", "llm.model_name", "llm.request.model_name")
        or model_of(json_object(attributes.get("llm.invocation_parameters")), "model", "model_name"),
        provider=name(attributes, "llm.provider", "llm.system"),
        tokens=Tokens(
            input=count(attributes, "llm.token_count.prompt"),
            output=count(attributes, "llm.token_count.completion"),
            cache_read=count(
                attributes, "llm.token_count.prompt_details.cache_read", "llm.token_count.prompt_details.cache_input"
            ),
            cache_write=count(attributes, "llm.token_count.prompt_details.cache_write"),
            reasoning=count(attributes, "llm.token_count.completion_details.reasoning"),
        ),
        cost=money(attributes, "llm.cost.total"),
        response_id=name(attributes, "llm.response.id") or _response_id(answered),
        finish_reason=name(attributes, "llm.finish_reason"),
    )
    told, answers = _flattened(attributes)
    answers = answers or _asked_for(attributes.get("output.value"))
    reading = call_reading(facts, call, told or _raw_input(attributes), answers)
    if not answers and facts.state == "completed":
        reading.texts.response = text_of(attributes.get("output.value"))
    return reading


def _tool(span: Span, facts: Facts) -> Reading:
    attributes = span.attributes
    handoff = _HANDOFF.fullmatch(span.name)
    if handoff and "tool.name" not in attributes:
        facts.kind, facts.details = "handoff", {"target": named(handoff[1])}
        return Reading(facts)
    facts.kind, facts.name = "tool", name(attributes, "tool.name") or facts.name
    facts.call_id = name(attributes, "tool_call.id", "tool.id") or _result_of(attributes.get("output.value"))
    arguments, result = parsed(attributes.get("input.value")), text_of(attributes.get("output.value"))
    if facts.name == "handoff" and LLAMA_INDEX in span.scope:
        given = json_object(arguments).get("kwargs")
        facts.details = known(target=name(json_object(given), "to_agent"))
    return Reading(facts, Texts(arguments=arguments, result=result))


def _agent(span: Span, facts: Facts, metadata: dict[str, Any]) -> Reading:
    """Only one that has a name: workflows are marked as agents as well."""
    attributes = span.attributes
    is_crew = _CREW_AI in span.scope
    run = _RUN.fullmatch(span.name) if "smolagents" in span.scope else _ROLE.fullmatch(span.name)
    found = name(attributes, "agent.name", "gen_ai.agent.name", "graph.node.name") or (named(run[1]) if run else None)
    found = found or (name(attributes, "graph.node.id") if is_crew else None)
    if found is None and "langchain" in span.scope:
        found = name(metadata, "lc_agent_name") if metadata.get("lc_agent_name") == span.name else _graph_agent(span, metadata)
        facts.is_graph_node = found is not None and found != span.name
    if found is not None:
        facts.kind, facts.agent = "agent", found
        facts.parent_agent = None if is_crew else name(attributes, "graph.node.parent_id")
        facts.details = known(agent_id=name(attributes, "agent.id"), description=text(attributes, "agent.description"))
    return Reading(facts)


def _name_chain(span: Span, facts: Facts, metadata: dict[str, Any]) -> None:
    """LangChain marks its agents as chains. What happens in one names it as well; one without a name is called by its kind."""
    if metadata.get("ls_integration") != "langchain_create_agent":
        return
    if span.name == metadata.get("lc_agent_name", _UNNAMED_GRAPH):
        facts.kind, facts.agent = "agent", facts.name


def _name_step(span: Span, facts: Facts) -> None:
    """Agents of LlamaIndex take turns in one workflow. Whose turn it is stands at the end of what the turn begins with."""
    found = _STEP_OF.match(text(span.attributes, "input.value") or "")
    if found is not None:
        facts.kind, facts.agent, facts.is_graph_node = "agent", named(found[1]), True


def _graph_agent(span: Span, metadata: dict[str, Any]) -> str | None:
    """Whose graph a node of LangGraph belongs to. Its path names the nodes above it, and a graph that is an agent is a node."""
    path = metadata.get("langgraph_checkpoint_ns")
    nodes = [part.partition(":")[0] for part in path.split("|")] if isinstance(path, str) else []
    if nodes and nodes[-1] == span.name:
        nodes.pop()
    return named(nodes[-1]) if nodes and nodes[-1] else None


def _flattened(attributes: dict[str, Any]) -> tuple[list[Message], list[Message]]:
    """Messages that were taken apart into attributes, put together again."""
    found: dict[str, dict[int, dict[str, Any]]] = {"input": {}, "output": {}}
    for key, value in attributes.items():
        if key.startswith("llm.") and (part := _PART.fullmatch(key)):
            found[part[1]].setdefault(int(part[2]), {})[part[3]] = value
    told, answers = ([_message(one[place]) for place in sorted(one)] for one in (found["input"], found["output"]))
    return told, answers


def _message(parts: dict[str, Any]) -> Message:
    told = Message(str(parts.get("role") or "user"))
    if isinstance(parts.get("content"), str) and parts["content"]:
        told.texts.append(parts["content"])
    else:
        texts = sorted((key, value) for key, value in parts.items() if key.endswith(".message_content.text"))
        told.texts += [value for _, value in texts if isinstance(value, str)]
    for key in sorted(parts):
        if key.startswith("tool_calls.") and key.endswith(".tool_call.function.name"):
            stem = key.removesuffix("function.name")
            arguments = text_of(parts.get(f"{stem}function.arguments")) or ""
            told.calls.append([str(parts.get(f"{stem}id") or ""), str(parts[key]), arguments[:20_000]])
    told.is_result = told.role in ("tool", "tool-response", "function")
    if "tool_call_id" in parts:
        told.results.append(str(parts["tool_call_id"]))
    if told.role == "tool-call":
        told.role = "assistant"
    return told


def _asked_for(value: Any) -> list[Message]:
    """The tools that a model asks for, where these are all of the answer."""
    found = parsed(value)
    calls = cast(list[Any], found) if isinstance(found, list) else []
    if not calls or not all(isinstance(one, dict) and "function" in one for one in calls):
        return []
    return [message({"role": "assistant", "tool_calls": calls})]


def _raw_input(attributes: dict[str, Any]) -> list[Message]:
    value = parsed(attributes.get("input.value"))
    if isinstance(value, dict) and "messages" in value:
        value = value["messages"]  # pyright: ignore[reportUnknownVariableType]
    found = messages(value) if isinstance(value, list) else []
    shown = text_of(attributes.get("input.value"))
    return found or ([Message("user", [shown])] if shown else [])


def _response_id(answered: dict[str, Any]) -> str | None:
    """The provider's own, which stands only in the answer that was written down whole."""
    found = answered.get("id")
    if not isinstance(found, str):
        return None
    return named(found) if found.startswith(("msg_", "chatcmpl-", "resp_", "cmpl-", "gen-")) else None


def _result_of(value: Any) -> str | None:
    data = json_object(value).get("data")
    return name(data, "tool_call_id") if isinstance(data, dict) else None  # pyright: ignore[reportUnknownArgumentType]
