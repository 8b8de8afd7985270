"""The slurm engine: the same workers as jobs of Slurm, by submitit. Needs the extra ``slurm``."""

from __future__ import annotations

import math
import shlex
import shutil
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator

from bench.core.errors import BadInput, Unavailable, did_you_mean
from bench.engines.base import Engine, Listener, Pool
from bench.engines.mailbox import Watched, read_json, write_json
from bench.engines.running import ENVIRONMENT
from bench.engines.slurm_local import end_local_job
from bench.engines.slurm_pool import MARGIN_SECONDS, STOP_SECONDS, SlurmPool, remove_pickles, wait_for
from bench.engines.worker import BEAT_SECONDS

_OURS = ("nodes", "ntasks_per_node", "tasks_per_node", "job_name", "time", "gpus_per_node", "cpus_per_task", "mem")


class Slurm(Engine):
    """Runs trials in long-lived jobs of Slurm, which take one trial after the other: a queue is waited in once a job.

    The results folder has to be on a file system that driver and nodes see alike, and promptscale installed there too.
    """

    cluster: Literal["slurm", "local"] = "slurm"
    """``local`` runs the jobs as processes of this machine, to try everything else out."""
    partition: str | None = None
    """Partition of the cluster; null is its default one."""
    account: str | None = None
    """Account that the time is charged to."""
    qos: str | None = None
    """Quality of service."""
    gpus_per_node: int = Field(0, ge=0)
    """GPUs a job; Slurm shows it those alone."""
    cpus_per_task: int = Field(1, gt=0)
    """CPUs a job, which are also its threads."""
    mem_gb: float | None = Field(None, gt=0)
    """Memory a job, in GB."""
    timeout_min: int | None = Field(None, gt=0)
    """Time limit of a job, in minutes; null is 60, or what a trial may take (``runtime.trial_timeout``) and 10 more if
    that is longer. A job with too little time left for a trial makes room for a new one."""
    idle_timeout: float = Field(300, gt=0)
    """Seconds without a trial after which a job ends, so that its node is free for others."""
    driver_timeout: float = Field(300, gt=0)
    """Seconds without a sign of the driver after which a job ends."""
    parameters: dict[str, Any] = {}
    """Further parameters of submitit's ``SlurmExecutor`` by name, such as ``{constraint: a100, array_parallelism: 4,
    setup: [module load cuda], additional_parameters: {reservation: maths}}``."""

    @field_validator("parameters")
    @classmethod
    def _check_setup(cls, parameters: dict[str, Any]) -> dict[str, Any]:
        if not isinstance(parameters.get("setup", []), list):
            raise ValueError(f"setup: expected a list of shell commands, found {parameters['setup']!r}")
        return parameters

    def commands(self) -> tuple[str, ...]:
        """Return what each job runs first on its node."""
        return tuple(map(str, self.parameters.get("setup", ())))

    def start(self, listener: Listener) -> Pool:
        """Return a pool; jobs are submitted when they are first needed.

        What jobs of a driver that died have finished is kept for whoever asks for it; what they still do is ended.

        Raises:
            Unavailable: submitit is not installed, or there is no Slurm here.
            BadInput: a parameter that submitit does not know, or no folder that all can see.
        """
        try:
            import submitit
        except ImportError:
            raise Unavailable("the engine 'slurm' needs submitit: pip install 'promptscale[slurm]'") from None
        if self.log_folder is None:
            raise BadInput("the engine 'slurm' needs a folder that all nodes see: log_folder")
        folder = self.log_folder.absolute() / "slurm"
        # submitit replaces these by ids of jobs wherever they are in a path.
        if "%" in str(folder):
            raise BadInput(f"{folder}: the engine 'slurm' cannot work in a folder with a % in its name")
        try:
            executor = submitit.AutoExecutor(folder, cluster=self.cluster)
        except RuntimeError:
            raise Unavailable(
                "no Slurm here: srun is not found (engine_options: {cluster: local} runs the jobs on this machine)"
            ) from None
        known = sorted(set(submitit.SlurmExecutor._valid_parameters()) - set(_OURS))
        for name in self.parameters:
            if name not in known:
                raise BadInput(f"engine_options.parameters: unknown parameter '{name}'{did_you_mean(name, known)}")
        end_earlier_sessions(folder, executor)
        return SlurmPool(self, listener, folder, executor)

    def limits(self, longest: float | None) -> dict[str, Any]:
        """Return what submitit is asked for; ``longest`` are the seconds that a trial may take, None is any."""
        least = math.ceil(((longest or 0) + MARGIN_SECONDS) / 60)
        if longest and self.timeout_min is not None and self.timeout_min < least:
            raise BadInput(
                f"engine_options.timeout_min: {self.timeout_min} min; a trial that may take {longest:g} s "
                f"(runtime.trial_timeout) needs jobs of {least} min"
            )
        minutes = self.timeout_min or max(60, least + 10)
        named = {"partition": self.partition, "account": self.account, "qos": self.qos}
        exports = [f'export {name}="${{{name}:-{shlex.quote(value)}}}"' for name, value in ENVIRONMENT.items()]
        more = {**self.parameters, "setup": [*exports, *self.parameters.get("setup", ())]}
        return {
            "name": "bench",
            "timeout_min": minutes,
            "cpus_per_task": self.cpus_per_task,
            "mem_gb": self.mem_gb,
            **({"gpus_per_node": self.gpus_per_node} if self.gpus_per_node else {}),
            **{f"slurm_{name}": value for name, value in {**named, **more}.items() if value is not None},
        }


def end_earlier_sessions(folder: Path, executor: Any) -> None:
    """End what jobs of earlier drivers still do: this folder has one driver now, and it asks for everything anew.

    Records of trials that these jobs have finished stay where they are, for this driver to find.
    """
    earlier = [path for path in (folder / "sessions").glob("*") if path.is_dir()]
    beats = [Watched(path) for session in earlier for path in session.glob("job-*/life-*/beat")]
    for session in earlier:
        write_json(session / "stop", {})
        for job_id in read_json(session / "jobs") or ():
            executor._executor.job_class(folder=folder, job_id=job_id).cancel(check=False)
            if executor.cluster == "local":
                end_local_job(job_id, folder)
    for beat in beats:
        beat.look()
    wait_for(lambda: all(beat.look() is None and beat.silent > 2 * BEAT_SECONDS for beat in beats), STOP_SECONDS)
    for session in earlier:
        shutil.rmtree(session, ignore_errors=True)
    remove_pickles(folder)
