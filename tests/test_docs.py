"""The docs say what the code does: generated pages are current, links lead somewhere, named commands exist."""

import re
from pathlib import Path

import pytest

from commands.app import COMMANDS, GROUPS
from commands.house import EXIT_CODES
from commands.reference import pages
from domain.errors import tree

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("tests/golden/runs/*.md")])


@pytest.mark.parametrize("name", sorted(pages(EXIT_CODES)))
def test_a_reference_page_is_what_the_code_makes(name: str) -> None:
    assert (ROOT / "docs" / "reference" / name).read_text() == pages(EXIT_CODES)[name], (
        "make it again: scripts/run help reference docs/reference"
    )


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", page.read_text()) if "://" not in link]
    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_that_a_page_shows_exists(page: Path) -> None:
    shown = re.findall(r"^ {4}(?:scripts/run|rt)(?: --\S+ \S+)* ([a-z][a-z-]+)", page.read_text(), re.MULTILINE)
    assert [verb for verb in shown if verb not in COMMANDS | GROUPS] == []


def test_every_golden_log_is_described_and_named_in_the_changelog() -> None:
    names = {path.parent.name for path in (ROOT / "tests/golden/runs").glob("*/log.jsonl")}
    described = set(re.findall(r"^\| `([\w-]+)` \|", (ROOT / "tests/golden/runs/README.md").read_text(), re.MULTILINE))
    assert names == described
    assert names <= set(re.findall(r"`([\w-]+)`", (ROOT / "CHANGELOG.md").read_text()))


def test_every_exit_status_of_an_error_is_explained() -> None:
    assert {kind.exit for kind in tree()} <= {code for code, _ in EXIT_CODES}


def test_no_page_names_a_path_of_a_machine() -> None:
    found = [page.name for page in PAGES if re.search(r"/(root|work|tmp)/", page.read_text())]
    assert found == []
