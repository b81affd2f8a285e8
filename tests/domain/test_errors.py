"""The tree of errors: what programs and docs rely on."""

import re
import string

import pytest

from domain import errors

TREE = errors.tree()


def fields(template: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(template) if name}


def test_every_code_is_there_once() -> None:
    codes = [kind.code for kind in TREE]
    assert len(set(codes)) == len(codes)


@pytest.mark.parametrize("kind", TREE, ids=lambda kind: kind.__name__)
def test_a_code_is_two_plain_words(kind: type[errors.RtError]) -> None:
    assert re.fullmatch(r"[a-z]+\.[a-z_]+", kind.code)


# where HTTP has a word of its own for a kind of the branch
NARROWER: dict[type[errors.RtError], tuple[int, ...]] = {
    errors.Conflict: (408, 429, 503),
    errors.Invalid: (400, 413, 415, 416),
    errors.Refused: (401, 405, 421),
    errors.Corrupt: (507,),
}


@pytest.mark.parametrize("kind", TREE, ids=lambda kind: kind.__name__)
def test_exit_and_http_status_are_those_of_the_branch(kind: type[errors.RtError]) -> None:
    branch = next((each for each in errors.RtError.__subclasses__() if issubclass(kind, each)), errors.RtError)
    assert kind.exit == branch.exit > 0
    assert kind.http in {branch.http, *NARROWER.get(branch, ())}


@pytest.mark.parametrize("kind", TREE, ids=lambda kind: kind.__name__)
def test_message_and_hint_can_be_filled_in(kind: type[errors.RtError]) -> None:
    given: dict[str, str | int] = dict.fromkeys(fields(kind.message) | fields(kind.hint), "{x}")
    problem = kind(**given)
    assert str(problem)
    assert problem.advice == "" or problem.advice.startswith("rt ")


@pytest.mark.parametrize("kind", TREE, ids=lambda kind: kind.__name__)
def test_every_class_says_what_is_the_case(kind: type[errors.RtError]) -> None:
    assert kind.__doc__
    assert kind.__doc__.strip().endswith(".")


def test_the_branches_have_exits_of_their_own() -> None:
    exits = [kind.exit for kind in errors.RtError.__subclasses__()]
    assert len(set(exits)) == len(exits)


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    drawn = re.findall(r"[├└]── (\w+) +exit (\d+), http (\d+)", errors.__doc__ or "")
    real = [(kind.__name__, str(kind.exit), str(kind.http)) for kind in errors.RtError.__subclasses__()]
    assert drawn == real


def test_text_from_outside_is_never_a_template() -> None:
    assert str(errors.Invalid(where="{why}", why="{where}{0}")) == "{why}: {where}{0}"
