"""Names that plug-ins written for version 0.1 import from here; `bench.core` has them now."""

from bench.core.distributions import Choice as Choice
from bench.core.distributions import Float as Float
from bench.core.distributions import Int as Int
from bench.core.distributions import SearchSpace as SearchSpace
from bench.core.entries import Entry as Entry
