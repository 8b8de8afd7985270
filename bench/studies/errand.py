"""Errands: what has to happen once before trials start, but needs torch or loads foreign code.

They run in a short-lived process of their own, ``python -m bench.studies.errand KIND NAME OPTIONS [PLUGIN ...]``,
so that the driver stays small and its memory is not taken for that of a trial.
"""

from __future__ import annotations

import json
import subprocess
import sys

from bench.errors import BenchError, Unavailable
from bench.metrics import metrics
from bench.models import models
from bench.plugins import load_plugins, loaded_plugins
from bench.spec import Entry

_FAILED = 2


def run_errand(kind: str, entry: Entry) -> None:
    """Make a ``model`` or a ``metric`` ready, in another process.

    Raises:
        Unavailable: it did not become ready; the message is the process's own.
    """
    plugins = [plugin.file for plugin in loaded_plugins()]
    command = [sys.executable, "-m", "bench.studies.errand", kind, entry.name, json.dumps(entry.options), *plugins]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip() or f"it ended with exit code {done.returncode}").splitlines()[-1]
        raise Unavailable(last if done.returncode == _FAILED else f"{kind} {entry.label} cannot be made ready: {last}")


def main(kind: str, name: str, options: str, *plugins: str) -> int:
    """Do one errand and return the exit code; an error of the user's is one line on stderr."""
    where = f"{kind} {name}"
    try:
        load_plugins(plugins)
        if kind == "model":
            source = models.build(name, json.loads(options), where)
            source.folder()
            source.check()
        else:
            metrics.build(name, json.loads(options), where).prepare()
    except BenchError as error:
        print(" ".join(str(error).split()), file=sys.stderr)
        return _FAILED
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
