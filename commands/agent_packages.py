"""Folders that `rt init` writes besides an empty home: the operator's example, and the package of an agent.

Either all of a folder is written or nothing; a file that is there stays, unless a person forces it.
"""

import re
from collections.abc import Iterator, Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Final

from domain import errors

STOP_S: Final = 60  # how long a unit may take to end what runs

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")
_PLAIN = re.compile(r"[A-Za-z0-9/._@+-]+")  # what a path in a unit may be made of
_SERVICE = f"""\
WorkingDirectory={{folder}}
Environment=PATH=%h/.local/bin:/usr/local/bin:/usr/bin:/bin
EnvironmentFile=-{{folder}}/env
UMask=0077
NoNewPrivileges=yes
PrivateTmp=yes
KillMode=control-group
TimeoutStopSec={STOP_S}
"""
_FILES: Final[Mapping[str, str]] = {
    "constitution/identity.md": """\
# Identity

{name} is an agent of this home. It works on what it is given, says what it did, and asks before it does what cannot be
undone.
""",
    "constitution/purpose.md": """\
# Purpose

What {name} is for, in a few sentences. Both files are hashed into the bundle of every run: a change of them is seen.
""",
    "scripts/work": """\
#!/bin/sh
# Stands in for an agent until agent.toml names one: a coding agent (kind = "codex") or a model (kind = "ollama").
printf '{{"status": "completed", "operator_summary": "%s took the task in"}}\\n' "$RT_NAME"
""",
    "agent.toml": """\
# What {name} is, on every machine. A host's own file extends this one.
runtime_name = "{name}"
default_profile = "{name}"
default_adapter = "work"

[constitution]
identity = "constitution/identity.md"
purpose = "constitution/purpose.md"

[adapters.work]
command = "scripts/work"
timeout_s = 900.0

[profiles.{name}]
program = "one_shot"
adapter = "work"
role = "You are {name}."
prompt = ["Do what the task says, and report it with evidence."]
""",
    "host.toml": """\
# What differs on this machine. Keep this file outside of what is synced, and let `extends` lead to agent.toml.
extends = "agent.toml"

[work]
concurrency = 2
""",
    "env.example": """\
# Copy to `env` (mode 0600). The units read it; an adapter gets what its inherit_env names.
# PROVIDER_API_KEY=
""",
    "systemd/rt-{name}.service": f"""\
[Unit]
Description=The agent {{name}}: dispatches until it is stopped

[Service]
Type=exec
ExecStart=/usr/bin/env rt --home {{folder}}/.rt --config {{folder}}/host.toml work
# once drains: runs end, nothing is claimed. What is left after the time limit gets TERM and KILL with the whole group
ExecStop=/bin/sh -c 'kill -TERM $MAINPID; while kill -0 $MAINPID 2>/dev/null; do sleep 0.2; done'
# 143: it was terminated and has drained, which is no failure
SuccessExitStatus=143
Restart=on-failure
RestartSec=5
{_SERVICE}
[Install]
WantedBy=default.target
""",
    "systemd/rt-{name}-once.service": f"""\
[Unit]
Description=The agent {{name}}: one dispatch cycle

[Service]
Type=oneshot
ExecStart=/usr/bin/env rt --home {{folder}}/.rt --config {{folder}}/host.toml run-once
SuccessExitStatus=143
{_SERVICE}""",
    "systemd/rt-{name}-once.timer": """\
[Unit]
Description=The agent {name}: a dispatch cycle every 10 s

[Timer]
OnBootSec=30s
OnUnitInactiveSec=10s
AccuracySec=1s

[Install]
WantedBy=timers.target
""",
    "README.md": """\
# {name}

- `constitution/`: who the agent is and what it is for; hashed into every bundle
- `agent.toml`: what it is on every machine; `host.toml`: what differs here; `env`: secrets of the units
- `systemd/`: user units. Either the resident service, or the timer that runs one cycle every 10 s; not both

      rt --config host.toml config check
      cp env.example env
      mkdir -p ~/.config/systemd/user && cp systemd/* ~/.config/systemd/user/
      systemctl --user daemon-reload
      systemctl --user enable --now rt-{name}.service     # or rt-{name}-once.timer

The units name this folder: write the package again with `rt init --agent-package DIR --force` after it was moved.
""",
}


def example(name: str, target: Path, *, force: bool) -> list[str]:
    """Write an example home; the names of its files. Raises Invalid, HomeExists."""
    folder = files("commands").joinpath("examples")
    known = sorted(each.name for each in folder.iterdir() if each.is_dir())
    if name not in known:
        raise errors.Invalid(where="--example", why=f"no example {name!r}; there are: {', '.join(known)}")
    found = {path: each.read_bytes() for path, each in _below(folder.joinpath(name), "")}
    return _write(target, found, f"--example {name}", force=force)


def package(target: Path, *, force: bool) -> list[str]:
    """Write the package of an agent that is called like its folder; the names of its files. Raises Invalid, HomeExists.

    Paths with characters that mean something in a unit are refused.
    """
    where = "--agent-package"
    if not _NAME.fullmatch(target.name):
        raise errors.Invalid(where=where, why=f"{target.name!r} is no name of an agent: letters, digits, _ - only")
    if not _PLAIN.fullmatch(str(target)):
        raise errors.Invalid(where=where, why=f"{target}: letters, digits and . _ - @ + only, as units name this path")
    told = {"name": target.name, "folder": str(target)}
    found = {path.format(**told): text.format(**told).encode() for path, text in _FILES.items()}
    return _write(target, found, where, force=force)


def _below(folder: Traversable, before: str) -> Iterator[tuple[str, Traversable]]:
    for each in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if each.is_dir() and each.name != "__pycache__":
            yield from _below(each, f"{before}{each.name}/")
        elif each.is_file():
            yield f"{before}{each.name}", each


def _write(target: Path, content: Mapping[str, bytes], option: str, *, force: bool) -> list[str]:
    for name in content:
        if (target / name).exists() and not force:
            better = f"{option} DIR  # another folder; or {target} and --force, which writes over what is there"
            raise errors.HomeExists(path=str(target / name), better=better)
    for name, each in content.items():
        path = target / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(each)
        path.chmod(0o700 if each.startswith(b"#!") else 0o600)
    return list(content)
