"""OpenTelemetry: what the exporters of any agent framework send becomes agents, requests, tool calls and logs."""

from __future__ import annotations

from tac_orchestrator.ingest.otel.intake import OtlpIntake, Taken, ingest_otlp
from tac_orchestrator.ingest.otel.wire import Body, Signal, UnreadableBody

__all__ = ["Body", "OtlpIntake", "Signal", "Taken", "UnreadableBody", "ingest_otlp"]
