"""The store over HTTP: its rows as JSON, what happens as it happens, and the page that shows both."""

from __future__ import annotations

from pydantic import BaseModel

# FastAPI comes with a model for each part of OpenAPI's language, of which a server uses none before somebody asks for its
# description. To make them all at the start would be a fifth of what its imports take: so they are made when they are used.
BaseModel.model_config["defer_build"] = True
try:
    import fastapi  # noqa: F401  # pyright: ignore[reportUnusedImport]
finally:
    del BaseModel.model_config["defer_build"]
