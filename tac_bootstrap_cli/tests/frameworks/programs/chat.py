"""A model behind the client of OpenAI, which goes over no network."""

from __future__ import annotations

import json

from httpx2 import MockTransport, Request, Response
from truth import DOWN, Truth

Step = tuple[str, dict[str, str]] | None
"""A tool that the model asks for, and with what; None is an answer."""


def scripted(truth: Truth, agent: str, *steps: Step) -> MockTransport:
    """Takes these steps, one after the other, again and again."""
    count = 0

    def answer(request: Request) -> Response:
        nonlocal count
        step = steps[count % len(steps)]
        count += 1
        return Response(200, json=completion(f"chatcmpl-{agent}-{count}-of-a-test", step, *truth.answered(agent)))

    return MockTransport(answer)


def down(truth: Truth, agent: str) -> MockTransport:
    def answer(request: Request) -> Response:
        truth.refused.append(agent)
        return Response(500, json={"error": {"message": DOWN}})

    return MockTransport(answer)


def completion(id: str, step: Step, tokens: int, output: int, cached: int) -> dict[str, object]:
    message: dict[str, object] = {"role": "assistant", "content": "Done."}
    if step is not None:
        function = {"name": step[0], "arguments": json.dumps(step[1])}
        message = {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": f"of-{id}", "type": "function", "function": function}],
        }
    return {
        "id": id,
        "object": "chat.completion",
        "created": 0,
        "model": "fake-model",
        "choices": [{"index": 0, "finish_reason": "tool_calls" if step else "stop", "message": message}],
        "usage": {
            "prompt_tokens": tokens,
            "completion_tokens": output,
            "total_tokens": tokens + output,
            "prompt_tokens_details": {"cached_tokens": cached},
        },
    }
