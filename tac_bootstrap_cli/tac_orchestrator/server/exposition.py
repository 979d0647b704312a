"""Puts figures into the forms that Prometheus reads.

Loaded when it asks for the first time: a server that nobody watches starts without.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import choose_encoder

from tac_orchestrator.database import Writing
from tac_orchestrator.models import Usage
from tac_orchestrator.ops.figures import Figures
from tac_orchestrator.server.counting import BUCKETS_S, Counts
from tac_orchestrator.server.live import Live

_SHOWN_MODELS = 20
_OTHER_MODELS = "(other)"
_NO_MODEL = "(unnamed)"
_FEED = ("changes", "agent_logs", "system_logs")


def exposition(accept: str, figures: Figures, writing: Writing, live: Live, counts: Counts) -> tuple[bytes, str]:
    """In the format that is asked for, of those that Prometheus knows, and its name. Nothing is kept between two times."""
    registry = CollectorRegistry()
    registry.register(_Told([*_of_store(figures), *_of_writing(writing), *_of_live(live), *_of_counts(counts)]))
    ProcessCollector(registry=registry)
    encode, media_type = choose_encoder(accept)
    return encode(registry), media_type


class _Told:
    """What was found, as a collector."""

    def __init__(self, metrics: Sequence[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        return self._metrics


def _of_store(found: Figures) -> Iterable[Metric]:
    yield _gauge("tac_sessions", "Sessions, by their state.", ["state"], _by_one(found.sessions))
    yield _gauge("tac_agents_at_work", "Agents that have not ended, by their state.", ["state"], _by_one(found.agents_at_work))
    yield _gauge(
        "tac_prompts_under_way",
        "Requests that wait for their answer, by their state.",
        ["state"],
        _by_one(found.prompts_under_way),
    )
    yield from _of_models("", "in all", found.models)
    yield from _of_models("_today", "of today (UTC)", found.models_today)
    yield _gauge("tac_store_bytes", "The store's file with its log, or its tables in a server.", [], {(): found.stored_bytes})


def _of_models(suffix: str, when: str, models: Sequence[Usage]) -> Iterable[Metric]:
    """As gauges: what is deleted, or priced anew, is taken away again."""
    prompts, tokens, costs = dict[Any, float](), dict[Any, float](), dict[Any, float]()
    for place, usage in enumerate(models):
        model = (usage.group or _NO_MODEL) if place < _SHOWN_MODELS else _OTHER_MODELS
        _add(prompts, (model, "failed"), usage.prompt_failed_count)
        _add(prompts, (model, "other"), usage.prompt_count - usage.prompt_failed_count)
        _add(tokens, (model, "input"), usage.tokens_input)
        _add(tokens, (model, "output"), usage.tokens_output)
        _add(tokens, (model, "cache_read"), usage.tokens_cache_read)
        _add(tokens, (model, "cache_write"), usage.tokens_cache_write)
        if usage.cost_usd is not None:
            _add(costs, (model,), float(usage.cost_usd))
    ended = f"Requests that have ended, {when}; those that did not fail are completed or cancelled."
    yield _gauge(f"tac_prompts{suffix}", ended, ["model", "end"], prompts)
    yield _gauge(f"tac_tokens{suffix}", f"Tokens, {when}; the input includes both of the cache.", ["model", "kind"], tokens)
    yield _gauge(f"tac_cost_usd{suffix}", f"Dollars, {when}; a model without a known cost is not there.", ["model"], costs)


def _of_writing(writing: Writing) -> Iterable[Metric]:
    yield _counter("tac_commits", "Commits of this server.", [], {(): writing.commits})
    yield _counter("tac_rows_written", "Rows in them.", [], {(): writing.rows})
    waiting = {("rounds",): writing.waiting_rounds, ("posts",): writing.waiting_posts}
    yield _gauge("tac_writer_waiting", "Rounds of writes, and logs that nobody waits for, that wait.", ["what"], waiting)
    lost = {("dropped",): writing.dropped, ("failed",): writing.failed}
    yield _counter("tac_posts_lost", "Logs that nobody waited for: no room, or not storable.", ["why"], lost)


def _of_live(live: Live) -> Iterable[Metric]:
    yield _gauge("tac_live_listeners", "Connections that hear of changes.", [], {(): len(live.listeners)})
    position = {(name,): int(place) for name, place in zip(_FEED, live.position.split("."), strict=True)}
    yield _gauge("tac_feed_position", "How far the feed was told: its three sequences.", ["sequence"], position)


def _of_counts(counts: Counts) -> Iterable[Metric]:
    requests = {(one.method, one.route, str(one.status)): count for one, count in counts.requests.items()}
    yield _counter("tac_http_requests", "Requests, by the route that answered.", ["method", "route", "status"], requests)
    family = HistogramMetricFamily("tac_http_request_seconds", "From the request to the end of its answer.", labels=["route"])
    for route, latency in counts.latencies.items():
        family.add_metric([route], _cumulative(latency.counts), latency.seconds)
    yield family
    taken = {(source, "accepted"): count for source, count in counts.accepted.items()}
    taken |= {(source, "rejected"): count for source, count in counts.rejected.items()}
    yield _counter("tac_ingested_records", "Records that came from outside, by their source.", ["source", "result"], taken)


def _cumulative(counts: Sequence[int]) -> list[tuple[str, float]]:
    ends, total, found = [*map(str, BUCKETS_S), "+Inf"], 0, list[tuple[str, float]]()
    for end, count in zip(ends, counts, strict=True):
        total += count
        found.append((end, total))
    return found


def _gauge(name: str, help: str, labels: Sequence[str], values: Mapping[tuple[str, ...], float]) -> Metric:
    return _filled(GaugeMetricFamily(name, help, labels=labels), values)


def _counter(name: str, help: str, labels: Sequence[str], values: Mapping[tuple[str, ...], float]) -> Metric:
    return _filled(CounterMetricFamily(name, help, labels=labels), values)


def _filled(family: Any, values: Mapping[tuple[str, ...], float]) -> Metric:
    for labels, value in values.items():
        family.add_metric(list(labels), value)
    return family


def _by_one(values: Mapping[str, int]) -> dict[tuple[str, ...], float]:
    return {(name,): count for name, count in values.items()}


def _add(values: dict[Any, float], key: tuple[str, ...], more: float) -> None:
    values[key] = values.get(key, 0) + more
