"""The look at what a run claims, once its work is over: artifacts, files of the workspace, what git says."""

from collections.abc import Callable

import msgspec

from adapters import artifacts, git_state
from commands.asks import Errand
from commands.world import World
from domain import judging, verification
from domain.advance import Happened
from domain.bounds import GIT_S
from domain.events import EvidenceGathered
from domain.ids import text_of
from domain.managed_path import After, Workspace
from domain.run import Run
from domain.verification import Wanted, Where


class Evidence(Errand):
    """One look."""

    def __init__(self, world: World, run: Run, changed: Callable[[], None]) -> None:
        brief = run.brief
        assert brief is not None, "what is verified has a brief"
        assert brief.where is not None, "and folders to look into"
        self._where = brief.where
        self._git = brief.before.workspace is not None and brief.before.workspace.kind == "git"
        self._wanted = verification.wanted(brief.payload, judging.outcome_of(run), brief.where)
        super().__init__(world, 0, changed)

    async def _go(self) -> Happened:
        after = await self._world.aside(_look, self._where, self._wanted, git=self._git)
        document = msgspec.json.encode(after)
        return Happened(EvidenceGathered(after=text_of(document)), None, "adapter:files", {"after": document})

    def _ended(self) -> Happened:
        document = msgspec.json.encode(After())
        return Happened(EvidenceGathered(after=text_of(document)), None, "adapter:files", {"after": document})


def _look(where: Where, wanted: Wanted, *, git: bool) -> After:
    workspace = git_state.workspace(where.roots[0], GIT_S) if git else Workspace(kind="unknown", root=where.roots[0])
    return After(
        artifacts=artifacts.snapshot(where.artifact_root, wanted.artifacts),
        files=artifacts.survey(wanted.workspace_paths),
        workspace=workspace,
    )
