"""What Prometheus is told. Labels are names of our own (routes, outcomes), never what a caller sent."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
BOUNDS_S = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)


class Metrics:
    """The metrics of one app."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "trellis_http_requests_total",
            "Requests by route and status.",
            ["method", "route", "status"],
            registry=self.registry,
        )
        self.duration = Histogram(
            "trellis_http_request_duration_seconds",
            "Time to answer, by route.",
            ["method", "route"],
            buckets=BOUNDS_S,
            registry=self.registry,
        )
        self.logins = Counter(
            "trellis_logins_total", "Logins by outcome.", ["outcome"], registry=self.registry
        )
        self.limited = Counter(
            "trellis_rate_limited_total",
            "Requests refused by a rate limit.",
            ["limit"],
            registry=self.registry,
        )
        self.sockets = Gauge("trellis_websockets", "WebSockets that are open.", registry=self.registry)
        self.closed = Counter(
            "trellis_websockets_closed_total",
            "WebSockets closed, by the code they were closed with.",
            ["code"],
            registry=self.registry,
        )
        self.block = Gauge(
            "trellis_chain_block_number", "Latest block that was read.", registry=self.registry
        )
        self.indexed = Gauge(
            "trellis_indexed_block_number", "Where the read model stands.", registry=self.registry
        )

    def text(self) -> bytes:
        """All of them, in Prometheus' own format."""
        return generate_latest(self.registry)
