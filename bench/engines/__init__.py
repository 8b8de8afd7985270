"""Engines: where trials run. An engine takes specs and gives records back; it knows no study."""

from bench.core.registry import Registry
from bench.engines.base import Engine

engines: Registry[Engine] = Registry(
    "engine",
    base="bench.engines.base:Engine",
    builtin={
        "accelerate": "bench.engines.distributed:Distributed",
        "inline": "bench.engines.inline:Inline",
        "processes": "bench.engines.processes:Processes",
        "ray": "bench.engines.ray_actors:Ray",
    },
)

__all__ = ["Engine", "engines"]
