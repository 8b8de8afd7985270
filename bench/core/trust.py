"""What an experiment trusts, as its entries say it themselves: where they come from and what pins that."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import urlsplit

from bench.core.packages import Package

Trust = Literal["pinned", "changes", "code", "note"]
"""``pinned``: content that is known by a hash or a commit; ``changes``: content that somebody else may change;
``code``: code that is not part of promptscale and runs with your rights; ``note``: neither."""


@dataclass(frozen=True)
class Trusted:
    """One thing that an entry trusts, uses or touches; said without running, loading or fetching it."""

    trust: Trust
    says: str
    """One sentence."""
    facts: dict[str, Any] = field(default_factory=dict)
    """The same for programs: source, revision, sha256, formats."""
    hosts: Mapping[str, str] = field(default_factory=dict)
    """The hosts that are spoken to, and why."""
    kind: str | None = None
    """What it is called in the list, if not by the kind of its entry."""


def is_commit(revision: str | None) -> bool:
    """Whether a revision is a commit, which never changes; a branch or a tag may be moved."""
    return re.fullmatch(r"[0-9a-f]{40}", revision or "") is not None


def of_the_hub(why: str) -> dict[str, str]:
    """Return the hub as a host that is spoken to, unless it is switched off."""
    from huggingface_hub import constants

    return {} if constants.HF_HUB_OFFLINE else {urlsplit(constants.ENDPOINT).hostname or constants.ENDPOINT: why}


def packaged(wheels: Sequence[Package], homepage: str, then: str) -> Trusted:
    """Return what trusting pinned packages comes to; ``then`` says what is done with them."""
    named = "; ".join(f"{wheel.package} {wheel.version}, a {wheel.kind} with sha256 {wheel.sha256}" for wheel in wheels)
    facts = [{name: getattr(wheel, name) for name in ("package", "version", "sha256", "cached")} for wheel in wheels]
    missing = [wheel.package for wheel in wheels if not wheel.cached]
    return Trusted(
        "pinned",
        f"{named}; {then}",
        {"source": homepage, "wheels": facts},
        {_package_index(): f"asked for {', '.join(missing)}"} if missing else {},
    )


def _package_index() -> str:
    """Return the host of the package index that pip asks."""
    url = os.environ.get("PIP_INDEX_URL")
    if not url:
        command = [sys.executable, "-m", "pip", "config", "get", "global.index-url"]
        url = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    return urlsplit(url).hostname or "pypi.org"
