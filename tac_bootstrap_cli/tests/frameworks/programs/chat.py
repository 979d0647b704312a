"""A model that answers over HTTP as OpenAI's do, on this machine."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from truth import DOWN, Truth

Step = tuple[str, dict[str, str]] | None
"""A tool that the model asks for, and with what; None is an answer."""


def scripted(truth: Truth, agent: str, *steps: Step) -> str:
    """The address of one that takes these steps, one after the other, again and again."""
    count = 0

    def answer() -> tuple[int, dict[str, Any]]:
        nonlocal count
        step = steps[count % len(steps)]
        count += 1
        return 200, completion(f"chatcmpl-{agent}-{count}-of-a-test", step, *truth.answered(agent))

    return _serve(answer)


def down(truth: Truth, agent: str) -> str:
    def answer() -> tuple[int, dict[str, Any]]:
        truth.refused.append(agent)
        return 500, {"error": {"message": DOWN}}

    return _serve(answer)


def _serve(answer: Callable[[], tuple[int, dict[str, Any]]]) -> str:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            status, content = answer()
            body = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}"


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
