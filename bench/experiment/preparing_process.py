"""Makes a model or a metric ready in a short-lived process, because that needs torch or loads foreign code.

The process is ``python -m bench.experiment.preparing_process KIND NAME OPTIONS [PLUGIN ...]``; so the driver stays
small, and its memory is not taken for that of a trial.
"""

from __future__ import annotations

import json
import subprocess
import sys

from bench.core.entries import Entry
from bench.core.errors import BenchError, Unavailable, one_line
from bench.core.plugins import load_plugins, loaded_plugins
from bench.metrics import metrics
from bench.models import models

_FAILED = 2


def prepare_in_process(kind: str, entry: Entry) -> None:
    """Make a ``model`` or a ``metric`` ready, in another process.

    Raises:
        Unavailable: it did not become ready; the message is the process's own.
    """
    asked = [kind, entry.name, json.dumps(entry.options), *(plugin.file for plugin in loaded_plugins())]
    command = [sys.executable, "-m", "bench.experiment.preparing_process", *asked]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip() or f"it ended with exit code {done.returncode}").splitlines()[-1]
        raise Unavailable(last if done.returncode == _FAILED else f"{kind} {entry.label} cannot be made ready: {last}")


def main(kind: str, name: str, options: str, *plugins: str) -> int:
    """Do what was asked and return the exit code; an error of the user's is one line on stderr."""
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
        print(one_line(error), file=sys.stderr)
        return _FAILED
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
