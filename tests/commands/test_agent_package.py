"""`rt init --agent-package` and `scripts/update-agent`: an agent of one's own, its units, how it is kept up to date."""

import configparser
import json
import os
import shlex
import shutil
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.commands.place import ROOT, RT, Done, Place, finished, interrupt, until

UPDATE = ROOT / "scripts" / "update-agent"


@pytest.fixture
def ada(place: Place) -> Place:
    place.ok("init", "--agent-package", "ada")
    bin_folder = place.folder / ".local" / "bin"
    bin_folder.mkdir(parents=True)
    rt = Place(bin_folder).script("rt", f'#!/bin/sh\nexec {shlex.join(RT)} "$@"\n')
    assert Path(rt).is_file()
    path = f"{bin_folder}:{place.environment['PATH']}"
    return Place(place.folder / "ada", {"PATH": path, "HOME": str(place.folder)})


class Unit(configparser.RawConfigParser):
    """A unit without repeated keys; what is repeated is an error."""

    def optionxform(self, optionstr: str) -> str:
        return optionstr

    @classmethod
    def of(cls, path: Path) -> "Unit":
        unit = cls(strict=True, delimiters=("=",), comment_prefixes=("#",), interpolation=None)
        unit.read_string(path.read_text().replace("Environment=PATH", "Environment_PATH"))
        return unit


def _unit(ada: Place, name: str) -> Unit:
    return Unit.of(ada.folder / "systemd" / name)


def test_a_package_says_who_the_agent_is_and_runs(ada: Place) -> None:
    ada.ok("--config", "host.toml", "config", "check")
    shown = ada.json("--config", "host.toml", "config", "show")
    assert set(shown["constitution"]) == {"identity", "purpose"}
    assert all((ada.folder / path).is_file() for path in shown["constitution"].values())
    assert (shown["runtime_name"], shown["work"]["concurrency"]) == ("ada", 2)
    task = {"kind": "errand", "source": "test", "payload": {"objective": "say something"}}
    queued = ada.json("--config", "host.toml", "intake", json.dumps(task))["task_id"]
    ada.ok("--config", "host.toml", "run-once")
    assert ada.task(queued)["status"] == "completed"


def test_what_may_hold_secrets_is_for_its_owner_alone(ada: Place) -> None:
    assert (ada.folder / "env.example").stat().st_mode & 0o777 == 0o600
    assert (ada.folder / "scripts" / "work").stat().st_mode & 0o777 == 0o700


def test_the_resident_unit_is_bounded_and_has_no_new_privileges(ada: Place) -> None:
    """DP-1"""
    service = _unit(ada, "rt-ada.service")["Service"]
    wanted = {"KillMode": "control-group", "Restart": "on-failure", "NoNewPrivileges": "yes", "PrivateTmp": "yes"}
    assert {name: service[name] for name in wanted} == wanted
    assert 0 < int(service["TimeoutStopSec"]) <= 300
    assert service["SuccessExitStatus"] == "143", "it was terminated, after draining: no failure"
    assert service["EnvironmentFile"] == f"-{ada.folder}/env"


def test_the_timer_runs_a_cycle_every_ten_seconds(ada: Place) -> None:
    timer = _unit(ada, "rt-ada-once.timer")["Timer"]
    assert (timer["OnBootSec"], timer["OnUnitInactiveSec"]) == ("30s", "10s")
    service = _unit(ada, "rt-ada-once.service")["Service"]
    assert (service["Type"], service["KillMode"]) == ("oneshot", "control-group")
    assert shlex.split(service["ExecStart"])[-1] == "run-once"


@pytest.mark.skipif(
    shutil.which("systemd-analyze") is None and not os.environ.get("RT_REQUIRE_TOOLS"),
    reason="systemd is not installed",
)
@pytest.mark.parametrize("name", ["rt-ada.service", "rt-ada-once.service", "rt-ada-once.timer"])
def test_systemd_finds_nothing_wrong_with_a_unit(ada: Place, name: str) -> None:
    folder = ada.folder / "systemd"
    environment = ada.environment | {"SYSTEMD_UNIT_PATH": f"{folder}:", "XDG_RUNTIME_DIR": str(ada.folder)}
    done = subprocess.run(
        ["systemd-analyze", "--user", "--man=no", "verify", folder / name],
        env=environment, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert [line for line in done.stderr.splitlines() if "rt-ada" in line] == []


def test_the_command_of_the_resident_unit_starts_drains_and_ends(ada: Place) -> None:
    start = shlex.split(_unit(ada, "rt-ada.service")["Service"]["ExecStart"])
    task = {"kind": "errand", "source": "test", "payload": {"objective": "say something"}}
    queued = ada.json("--config", "host.toml", "intake", json.dumps(task))["task_id"]
    with subprocess.Popen(
        start, env=ada.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    ) as process:
        try:
            until(lambda: ada.task(queued)["status"] == "completed")
            interrupt(process, signal.SIGTERM)
            assert finished(process).code in (0, 143)
        finally:
            if process.poll() is None:
                process.kill()


def test_a_package_overwrites_nothing_without_force(ada: Place, place: Place) -> None:
    mine = ada.folder / "constitution" / "purpose.md"
    mine.write_text("mine")
    done = place.rt("init", "--agent-package", "ada", "--json")
    assert (done.code, done.error["code"]) == (5, "home.exists")
    assert done.error["hint"].startswith("rt init --agent-package DIR ")
    assert f"{place.folder / 'ada'} and --force" in done.error["hint"]
    assert mine.read_text() == "mine"
    place.ok("init", "--agent-package", "ada", "--force")
    assert mine.read_text().startswith("# Purpose")


@pytest.mark.parametrize("name", ["a b", "-x", "%h", "x\ny", "über", "a.b"])
def test_a_name_that_would_mean_something_in_a_unit_is_refused(place: Place, name: str) -> None:
    done = place.rt("init", f"--agent-package={name}", "--json")
    assert done.code == 2
    assert place.files() == set()


# scripts/update-agent


def _git(folder: Path, *argv: str) -> str:
    own = ["-c", "user.name=nobody", "-c", "user.email=nobody@example.org", "-c", "init.defaultBranch=main"]
    done = subprocess.run(["git", *own, *argv], cwd=folder, capture_output=True, text=True, check=True, timeout=60)
    return done.stdout.strip()


class Deployed:
    """A checkout with an agent in it, the remote that it follows, and a systemctl that only notes what it is told."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.upstream, self.repo, self.calls = folder / "upstream", folder / "repo", folder / "calls"
        self.upstream.mkdir()
        _git(self.upstream, "init")
        self.publish("agent.toml", 'default_adapter = "command"\n')
        _git(folder, "clone", "--quiet", str(self.upstream), str(self.repo))
        bin_folder = folder / "bin"
        bin_folder.mkdir()
        tools = Place(bin_folder)
        tools.script("systemctl", f'#!/bin/sh\necho "$@" >> {self.calls}\ncase "$*" in *is-active*) test ! -e '
                                  f'{folder}/dead ;; esac\n')  # fmt: skip
        tools.script("rt", f'#!/bin/sh\nexec {shlex.join(RT)} "$@"\n')
        tools.script("ssh", f'#!/bin/sh\necho "$1" >> {folder}/hosts\nshift\nexec sh -c "$*"\n')
        self.place = Place(self.repo, {"PATH": f"{bin_folder}:{tools.environment['PATH']}"})
        self.place.variables.update(
            {"UPDATE_PAUSE_S": "0.05", "RT_INSTALL": f"git rev-parse HEAD >> {folder}/installed"}
        )
        self.place.ok("do", "--", "true")

    def publish(self, name: str, text: str) -> str:
        (self.upstream / name).write_text(text)
        _git(self.upstream, "add", name)
        _git(self.upstream, "commit", "--quiet", "--message", f"Change {name}")
        return _git(self.upstream, "rev-parse", "HEAD")

    @property
    def at(self) -> str:
        return _git(self.repo, "rev-parse", "HEAD")

    @property
    def installed(self) -> list[str]:
        path = self.folder / "installed"
        return path.read_text().split() if path.exists() else []

    @property
    def is_paused(self) -> bool:
        paused: bool = self.place.json("status")["paused"]
        return paused

    def update(self, *argv: str, **variables: str) -> Done:
        named: Sequence[str] = ("--agent", "ada", "--repo-dir", str(self.repo), "--config", f"{self.repo}/agent.toml")
        done = subprocess.run(
            [UPDATE, *named, *argv],
            env=self.place.environment | variables,
            capture_output=True,
            check=False,
            timeout=90,
        )
        return Done(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def deployed(tmp_path: Path) -> Deployed:
    return Deployed(tmp_path)


def test_an_update_drains_backs_up_pulls_installs_and_restarts(deployed: Deployed) -> None:
    """DP-4"""
    wanted = deployed.publish("note.txt", "new\n")
    done = deployed.update()
    assert done.code == 0, done
    assert (deployed.at, deployed.installed) == (wanted, [wanted])
    assert "--user restart rt-ada.service" in deployed.calls.read_text()
    assert [path.suffix for path in sorted((deployed.repo / ".rt" / "backups").iterdir())] == [".db", ".json"]
    topics = [topic for topic in deployed.place.topics() if topic.startswith("dispatcher.")]
    assert topics == ["dispatcher.paused.v1", "dispatcher.resumed.v1"]


def test_a_version_whose_checks_fail_is_rolled_back(deployed: Deployed) -> None:
    """DP-4"""
    before = deployed.at
    broken = deployed.publish("agent.toml", 'default_adapter = "nobody"\n')
    done = deployed.update()
    assert done.code == 1
    assert "rolled back" in done.errors
    assert (deployed.at, deployed.installed) == (before, [broken, before])
    assert not deployed.is_paused


def test_a_version_whose_unit_does_not_come_up_is_rolled_back_after_five_tries(deployed: Deployed) -> None:
    """DP-4: and when the old one does not come up either, the agent stays paused for a person."""
    before = deployed.at
    deployed.publish("note.txt", "new\n")
    (deployed.folder / "dead").touch()
    done = deployed.update()
    assert (done.code, deployed.at) == (1, before)
    assert deployed.calls.read_text().count("is-active") == 10
    assert "stays paused" in done.errors
    assert deployed.is_paused


def test_running_work_is_waited_for_and_never_cut_off(deployed: Deployed) -> None:
    before = deployed.at
    deployed.publish("note.txt", "new\n")
    deployed.place.queue("sh", "-c", "while [ ! -e go ]; do sleep 0.05; done")
    with deployed.place.started("work", "--until-idle") as worker:
        until(lambda: deployed.place.json("status")["running"])
        done = deployed.update(UPDATE_DRAIN_TRIES="3")
        assert (done.code, deployed.at, deployed.is_paused) == (5, before, False)
        (deployed.repo / "go").touch()
        assert finished(worker).code == 0
    assert deployed.update().code == 0


def test_what_somebody_paused_stays_paused(deployed: Deployed) -> None:
    deployed.publish("note.txt", "new\n")
    deployed.place.ok("pause")
    assert deployed.update().code == 0
    assert deployed.is_paused


def test_a_branch_that_went_apart_is_not_merged(deployed: Deployed) -> None:
    (deployed.repo / "own.txt").write_text("own\n")
    _git(deployed.repo, "add", "own.txt")
    _git(deployed.repo, "commit", "--quiet", "--message", "Go apart")
    before = deployed.at
    deployed.publish("note.txt", "new\n")
    done = deployed.update()
    assert (done.code, deployed.at, deployed.installed, deployed.is_paused) == (5, before, [], False)


def test_changes_that_nobody_committed_are_left_alone(deployed: Deployed) -> None:
    (deployed.repo / "agent.toml").write_text("# mine\n")
    done = deployed.update()
    assert (done.code, deployed.installed) == (5, [])
    assert (deployed.repo / "agent.toml").read_text() == "# mine\n"


def test_units_are_left_alone_where_asked(deployed: Deployed) -> None:
    deployed.publish("note.txt", "new\n")
    assert deployed.update("--no-restart").code == 0
    assert not deployed.calls.exists()


def test_another_host_runs_the_same_script_over_ssh(deployed: Deployed) -> None:
    wanted = deployed.publish("note.txt", "new\n")
    done = deployed.update("--host", "ada@host.example.org", "--no-restart")
    assert (done.code, deployed.at) == (0, wanted), done
    assert (deployed.folder / "hosts").read_text() == "ada@host.example.org\n"


@pytest.mark.parametrize(
    "argv", [("--branch",), ("--what", "x"), ("surplus",), ("--host", "-oProxyCommand=x"), ("--branch", "a b")]
)
def test_a_wrong_command_line_changes_nothing(deployed: Deployed, argv: tuple[str, ...]) -> None:
    head = deployed.place.head()
    assert deployed.update(*argv).code == 2
    assert deployed.place.head() == head
