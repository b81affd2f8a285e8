"""Commands about profiles: which agents there are, and what each is made of."""

from typing import Annotated

import msgspec
import typer

from commands import options, render
from commands.invocation import invocation
from domain import agents

app = typer.Typer(no_args_is_help=True)


@app.command("list", help="Profiles, built-in ones too.")
def list_profiles(as_json: options.Json = False) -> None:
    """List profiles."""
    runtime = invocation.runtime(create=True)
    found = agents.profiles(runtime.config)
    if as_json:
        values = [{"profile": name} | msgspec.to_builtins(each) for name, each in found.items()]
        render.documents("rt.profile.v1", values, position=0)
        return
    rows = [
        (name, each.program, each.controller, " ".join(each.tools), each.description[:60])
        for name, each in found.items()
    ]
    render.table(("profile", "program", "controller", "tools", "what"), rows)


@app.command("show", help="All that a run of this profile is decided by, as JSON.")
def show(
    name: Annotated[str, typer.Argument(metavar="PROFILE", help="Its name.")], as_json: options.Json = False
) -> None:
    """Show a profile."""
    runtime = invocation.runtime(create=True)
    folder = str(runtime.home.folder)
    made = agents.setup(runtime.config, name, agents.Given(goal="", cwd=folder, folder=folder))
    if as_json:
        render.document("rt.profile.v1", {"profile": name} | msgspec.to_builtins(made))
        return
    for line in msgspec.json.format(msgspec.json.encode(made), indent=2).decode().splitlines():
        render.out(render.line(line))
