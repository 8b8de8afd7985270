"""The database for Optuna's tools: a mirror of the records that nothing depends on."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import sqlite3
import subprocess
from contextlib import suppress
from pathlib import Path

import optuna
import pytest
from demo import Pretend, Warned, demo_plan, drive, ended

from bench.cli.status import rebuild_database
from bench.core.errors import BadInput
from bench.runs.store import RecordStore


def in_database(url: str) -> dict[str, list[tuple]]:
    """What Optuna reads: by study, each trial's number, state, value, parameters and curve."""
    storage = optuna.storages.RDBStorage(url)
    found = {}
    for name in optuna.get_all_study_names(storage):
        study = optuna.load_study(study_name=name, storage=storage)
        found[name] = [(t.number, t.state.name, t.values, t.params, t.intermediate_values) for t in study.trials]
    storage.remove_session()
    storage.engine.dispose()
    return found


def sqlite(results: Path) -> str:
    return f"sqlite:///{results / 'study.db'}"


def in_records(results: Path) -> list[tuple]:
    states = {"ok": "COMPLETE", "oom": "PRUNED", "error": "FAIL"}
    return [
        (
            record.spec.number,
            states[record.status],
            None if record.objective is None else [record.objective],
            record.spec.params,
            {e.step: e.metrics["accuracy"] for e in record.validation_curve},
        )
        for record in RecordStore(results)
        if record.spec.kind == "trial"
    ]


def mixed(spec):
    return ended(spec, status={2: "oom", 3: "error"}.get(spec.number, "ok") if spec.kind == "trial" else "ok")


def test_the_database_holds_what_the_records_hold_and_is_rebuilt_from_them(tmp_path):
    planned = demo_plan(tmp_path / "r")
    drive(planned, Pretend(play=mixed, specs=[]))
    (found,) = in_database(sqlite(tmp_path / "r")).values()
    assert found == in_records(tmp_path / "r")
    assert [state for _, state, *_ in found] == ["COMPLETE", "COMPLETE", "PRUNED", "FAIL", "COMPLETE", "COMPLETE"]

    (tmp_path / "r" / "study.db").unlink()
    rebuild_database(tmp_path / "r", None)
    assert list(in_database(sqlite(tmp_path / "r")).values()) == [found]


def test_with_two_workers_numbers_in_the_database_are_those_of_the_records(tmp_path):
    class Backwards(Pretend):
        def start(self, listener):
            pool = super().start(listener)
            poll = pool.poll
            pool.poll = lambda timeout: (pool._waiting.reverse(), poll(timeout))[1]
            return pool

    drive(demo_plan(tmp_path / "r"), Backwards(workers=3, specs=[]))
    (found,) = in_database(sqlite(tmp_path / "r")).values()
    assert found == in_records(tmp_path / "r")


@pytest.mark.parametrize("harm", ["older", "newer", "foreign", "torn", "gone"])
def test_a_database_that_is_not_what_the_records_say_is_mended_when_a_run_goes_on(tmp_path, harm):
    results = tmp_path / "r"
    planned = demo_plan(results)
    with pytest.raises(KeyboardInterrupt):
        drive(planned, Pretend(stop_after=3, specs=[]))
    database = results / "study.db"
    if harm == "older":
        old = database.read_bytes()
        with pytest.raises(KeyboardInterrupt):
            drive(planned, Pretend(stop_after=2, specs=[]))
        database.write_bytes(old)
    elif harm == "newer":
        next(results.rglob("trial-00001.json")).unlink()
    elif harm == "foreign":
        with sqlite3.connect(database) as connection:
            connection.execute("UPDATE trial_values SET value = 99 WHERE trial_id = 1")
    elif harm == "torn":
        database.write_bytes(b"no database at all")
    else:
        database.unlink()
    warned = Warned()
    drive(planned, watcher=warned)
    (found,) = in_database(sqlite(results)).values()
    assert found == in_records(results)
    assert warned.said == []


def shared(tmp_path: Path, folder: str, engine: Pretend | None = None, **changes) -> dict[str, list[tuple]]:
    """Run into a results folder, with a database that others write too, and return what is in that one."""
    url = f"sqlite:///{tmp_path / 'team.db'}"
    planned = demo_plan(tmp_path / folder, study={"storage": url}, **changes)
    warned = Warned()
    with suppress(KeyboardInterrupt):
        drive(planned, engine or Pretend(play=mixed, specs=[]), warned)
    assert warned.said == []
    return in_database(url)


def test_in_one_database_two_folders_of_the_same_experiment_have_a_study_each_and_a_colleagues_stays(tmp_path):
    old_name = f"demo/{demo_plan().cells[0].path}"
    theirs = optuna.create_study(study_name=old_name, storage=f"sqlite:///{tmp_path / 'team.db'}")
    theirs.add_trial(optuna.trial.create_trial(value=7.0, user_attrs={"whose": "a colleague's"}))

    (ours,) = set(shared(tmp_path, "a")) - {old_name}
    found = shared(tmp_path, "b", seed=1)

    (others,) = set(found) - {old_name, ours}
    assert ours.startswith(f"{old_name}@") and len(ours) == len(old_name) + 9
    assert found[ours] == in_records(tmp_path / "a") != found[others] == in_records(tmp_path / "b")
    assert found[old_name] == [(0, "COMPLETE", [7.0], {}, {})]
    assert shared(tmp_path, "a") == found, "a run that has nothing to do changes nothing"


def test_a_copy_of_a_results_folder_never_writes_into_the_studies_of_the_original(tmp_path):
    (before,) = shared(tmp_path, "a", Pretend(stop_after=3, play=mixed, specs=[])).items()
    shutil.copytree(tmp_path / "a", tmp_path / "copy")
    found = shared(tmp_path, "copy")
    assert found[before[0]] == before[1], "as far as the original has come"
    (copied,) = set(found) - {before[0]}
    assert found[copied] == in_records(tmp_path / "copy")


def test_a_study_that_is_not_what_the_records_say_stays_and_another_is_written(tmp_path):
    ((name, whole),) = shared(tmp_path, "a").items()
    next((tmp_path / "a").rglob("trial-00001.json")).unlink()
    other = Pretend(play=lambda spec: ended(spec, status="oom" if spec.kind == "trial" else "ok"), specs=[])
    found = shared(tmp_path, "a", other)
    assert [spec.number for spec in other.specs if spec.kind == "trial"] == [1]
    assert found == {name: whole, f"{name}~2": in_records(tmp_path / "a")}
    rebuild_database(tmp_path / "a", f"sqlite:///{tmp_path / 'team.db'}")
    assert in_database(f"sqlite:///{tmp_path / 'team.db'}") == found


def test_a_database_that_is_locked_is_a_warning_and_no_result_is_lost(tmp_path):
    planned = demo_plan(tmp_path / "r")
    whole = drive(demo_plan(tmp_path / "whole"))
    with pytest.raises(KeyboardInterrupt):
        drive(planned, Pretend(stop_after=1, specs=[]))
    holder = sqlite3.connect(tmp_path / "r" / "study.db")
    holder.execute("BEGIN EXCLUSIVE")
    warned = Warned()
    rest = drive(planned, watcher=warned)
    holder.close()

    (said,) = warned.said
    assert "study.db cannot be written (database is locked); the run goes on, and 'bench rebuild' writes it" in said
    assert 1 + len(rest.specs) == len(whole.specs)
    rebuild_database(tmp_path / "r", None)
    (found,) = in_database(sqlite(tmp_path / "r")).values()
    assert found == in_records(tmp_path / "r")


def test_rebuilding_what_is_no_results_folder_or_cannot_be_written_is_said_in_one_line(tmp_path):
    with pytest.raises(BadInput, match="no results folder"):
        rebuild_database(tmp_path, None)
    drive(demo_plan(tmp_path / "r", study={"trials": 1}))
    with pytest.raises(BadInput, match=r"^postgresql\+psycopg://me:\*\*\*@127.0.0.1:1/x: cannot be written: "):
        rebuild_database(tmp_path / "r", "postgresql+psycopg://me:secret@127.0.0.1:1/x")


def test_a_password_is_in_no_file(tmp_path):
    url = "postgresql+psycopg://me:secret@127.0.0.1:1/x"
    planned = demo_plan(tmp_path / "r", study={"trials": 1, "storage": url})
    warned = Warned()
    drive(planned, watcher=warned)
    assert planned.storage == url
    assert "me:***@127.0.0.1" in warned.said[0]
    for path in (tmp_path / "r").rglob("*"):
        assert not path.is_file() or b"secret" not in path.read_bytes()


@pytest.fixture(scope="module")
def postgres(tmp_path_factory):
    """A PostgreSQL server of our own, on a free port, gone after the tests."""
    pytest.importorskip("psycopg", reason="pip install 'promptscale[postgresql]'")
    places = [os.environ.get("PATH", ""), *map(str, sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True))]
    initdb = shutil.which("initdb", path=os.pathsep.join(reversed(places)))
    if initdb is None:
        pytest.skip("no PostgreSQL server here (Debian: apt-get install postgresql)")
    folder = tmp_path_factory.mktemp("postgres")
    options: dict = {"check": True, "capture_output": True, "cwd": folder, "timeout": 60}
    if os.getuid() == 0:  # the server refuses to run as root
        try:
            user = pwd.getpwnam("postgres")
        except KeyError:
            pytest.skip("PostgreSQL does not run as root, and there is no user 'postgres'")
        for parent in [folder, *folder.parents]:
            if parent.stat().st_uid == 0 and parent != Path("/") and parent != Path("/tmp"):
                parent.chmod(parent.stat().st_mode | 0o711)
        os.chown(folder, user.pw_uid, user.pw_gid)
        options |= {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    data = folder / "data"
    tools = Path(initdb).resolve().parent
    subprocess.run([initdb, "-D", data, "-U", "bench", "-A", "trust", "--no-sync"], **options)
    settings = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder} -c fsync=off"
    control = [tools / "pg_ctl", "-D", data]
    subprocess.run([*control, "-w", "-o", settings, "-l", folder / "log", "start"], **options)
    try:
        yield f"postgresql+psycopg://bench@127.0.0.1:{port}/postgres"
    finally:
        subprocess.run([*control, "-m", "immediate", "stop"], **options)


def test_a_team_can_have_its_studies_in_postgresql(tmp_path, postgres):
    planned = demo_plan(tmp_path / "r", study={"storage": postgres})
    warned = Warned()
    with pytest.raises(KeyboardInterrupt):
        drive(planned, Pretend(stop_after=4, play=mixed, specs=[]), warned)
    drive(planned, Pretend(play=mixed, specs=[]), warned)
    assert warned.said == []
    (found,) = in_database(postgres).values()
    assert found == in_records(tmp_path / "r")
    assert not (tmp_path / "r" / "study.db").exists()
    rebuild_database(tmp_path / "r", postgres)
    assert list(in_database(postgres).values()) == [found]
