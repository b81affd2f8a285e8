"""Env files are taken literally: one variable a line, and what is no variable is said to be none (section 20)."""

import traceback

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.bounds import ENV_FILE_BYTES_MAX, ENV_FILE_LINES_MAX
from domain.env_file import EnvFile, parse
from domain.errors import InvalidConfig

CANARY = "sk-canary-91c0ffee"


def values(text: str) -> dict[str, str]:
    return parse(text, "some.env").values


@pytest.mark.parametrize(
    ("line", "name", "value"),
    [
        pytest.param("A=1", "A", "1", id="plain"),
        pytest.param("  A=1\t", "A", "1", id="the line is trimmed"),
        pytest.param("A =  1 ", "A", "1", id="name and value are trimmed"),
        pytest.param("A=", "A", "", id="an empty value is a value"),
        pytest.param("A=b=c==", "A", "b=c==", id="the first = counts"),
        pytest.param("export A=1", "A", "1", id="export"),
        pytest.param("export   A=1", "A", "1", id="export and more spaces"),
        pytest.param("exported=1", "exported", "1", id="a name that begins like export"),
        pytest.param("export=1", "export", "1", id="a variable called export"),
        pytest.param('A="x y"', "A", "x y", id="double quotes"),
        pytest.param("A='x y'", "A", "x y", id="single quotes"),
        pytest.param("A='  x '", "A", "  x ", id="inside of quotes nothing is trimmed"),
        pytest.param('A=""', "A", "", id="empty quotes"),
        pytest.param("A=\"'x'\"", "A", "'x'", id="one pair only"),
        pytest.param("A=\"x'", "A", "\"x'", id="quotes that do not match"),
        pytest.param('A="', "A", '"', id="a lone quote"),
        pytest.param('A="x" # y', "A", '"x" # y', id="no comment behind quotes"),
        pytest.param("A=x # y", "A", "x # y", id="no inline comment"),
        pytest.param("A=#x", "A", "#x", id="a value may begin like a comment"),
        pytest.param(r"A=x\n\"", "A", r"x\n\"", id="no escapes"),
        pytest.param(r'A="x\"y"', "A", r"x\"y", id="no escapes in quotes"),
        pytest.param("A=$HOME/${B}`c`", "A", "$HOME/${B}`c`", id="no interpolation"),
        pytest.param("A.b-c d=1", "A.b-c d", "1", id="any name"),
        pytest.param("Ä=ü☃", "Ä", "ü☃", id="beyond ASCII"),
        pytest.param("\ufeffA=1", "A", "1", id="behind a byte order mark"),
        pytest.param("A=x\ry", "A", "x\ry", id="a lone CR ends no line"),
        pytest.param("A=x\x0by\x0cz\u2028", "A", "x\x0by\x0cz", id="other separators end no line"),
    ],
)
def test_a_line_sets_one_variable_to_what_is_written(line: str, name: str, value: str) -> None:
    found = parse(line, "some.env")
    assert (found.values, found.skipped) == ({name: value}, ())


@pytest.mark.parametrize("value", ['"x', "'x", "\"x'", '"', '"x" # y', "'x' y"])
def test_a_quote_that_nothing_closes_stays_and_is_reported(value: str) -> None:
    assert parse(f"B='1'\nA={value}", "some.env") == EnvFile(values={"B": "1", "A": value}, quoted=(2,))


@pytest.mark.parametrize("value", ["x", '"x"', "''", "x'", 'x="y"', ""])
def test_any_other_value_is_not_reported(value: str) -> None:
    assert parse(f"A={value}", "some.env").quoted == ()


def test_what_is_no_text_is_kept_as_it_was_decoded() -> None:
    """Half characters (PEP 383) must not make an error that quotes the file."""
    kept = values("A=\udc80x") == {"A": "\udc80x"}
    assert kept


@pytest.mark.parametrize("line", ["", "   ", "\t", "#", "# A=1", "  #A=1"])
def test_blank_lines_and_comments_set_nothing_and_are_not_reported(line: str) -> None:
    assert parse(f"{line}\nA=1\n{line}\n", "some.env") == EnvFile(values={"A": "1"})


@pytest.mark.parametrize("line", ["A", "=1", "  = 1", "export A", "export =1", "export", "=", "'A'", "A: 1"])
def test_a_line_without_a_name_and_an_equals_sign_is_skipped_and_reported(line: str) -> None:
    assert parse(f"B=1\n\n{line}\nC=2", "some.env") == EnvFile(values={"B": "1", "C": "2"}, skipped=(3,))


def test_a_value_ends_with_its_line() -> None:
    assert parse('A="x\ny"\nB=1', "some.env") == EnvFile(values={"A": '"x', "B": "1"}, skipped=(2,), quoted=(1,))


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_lines_end_with_lf_or_crlf(end: str) -> None:
    assert values(end.join(["A=1", "", "# x", 'B="2"', "C=3", ""])) == {"A": "1", "B": "2", "C": "3"}


def test_later_lines_win() -> None:
    assert values("A=1\nB=2\nexport A=3") == {"A": "3", "B": "2"}


def test_an_empty_file_sets_nothing() -> None:
    assert parse("", "some.env") == EnvFile()


@pytest.mark.parametrize("line", ["A=x\0y", "# x\0", "\0"])
def test_a_nul_is_refused_wherever_it_is(line: str) -> None:
    with pytest.raises(InvalidConfig, match=r"^some\.env: line 2 holds a NUL$"):
        parse(f"A=1\n{line}\n", "some.env")


@pytest.mark.parametrize("character", ["x", "ü", "☃"])
def test_a_file_is_bounded_in_bytes(character: str) -> None:
    room = ENV_FILE_BYTES_MAX - 2
    fits = character * (room // len(character.encode()))
    assert values(f"A={fits}") == {"A": fits}
    with pytest.raises(InvalidConfig, match=f"at most {ENV_FILE_BYTES_MAX} bytes"):
        parse(f"A={fits}xxx", "some.env")


def test_a_file_is_bounded_in_lines() -> None:
    fits = "\n" * (ENV_FILE_LINES_MAX - 1)
    assert values(fits + "A=1") == {"A": "1"}
    with pytest.raises(InvalidConfig, match=f"at most {ENV_FILE_LINES_MAX} lines"):
        parse(fits + "A=1\n", "some.env")


def test_what_was_parsed_shows_names_and_no_value() -> None:
    """CR-3: it may stand in a traceback or in a log."""
    found = parse(f"API_KEY={CANARY}\noops", "some.env")
    for shown in (repr(found), str(found), f"{found}", repr([found]), repr(found.__rich_repr__())):
        assert "canary" not in shown
        assert "API_KEY" in shown
        assert "(2,)" in shown


@pytest.mark.parametrize("text", [f"A={CANARY}\0", f"A={CANARY}\n" * ENV_FILE_LINES_MAX, CANARY * 20_000])
def test_a_refusal_shows_no_value(text: str) -> None:
    with pytest.raises(InvalidConfig) as refusal:
        parse(text, "some.env")
    assert "canary" not in "".join(traceback.format_exception(refusal.value)) + repr(refusal.value.fields)


NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,8}", fullmatch=True)
VALUES = st.text(st.characters(exclude_characters="\n\0", exclude_categories=["Cs"]), max_size=20)


@given(variables=st.dictionaries(NAMES, VALUES, max_size=8), quote=st.sampled_from("\"'"))
def test_whatever_stands_in_quotes_comes_back(variables: dict[str, str], quote: str) -> None:
    text = "".join(f"{name}={quote}{value}{quote}\r\n" for name, value in variables.items())
    assert values(text) == variables


@given(text=st.text(st.sampled_from("A=#'\" \t\r\n\\exportx") | st.characters(exclude_characters="\0"), max_size=200))
def test_every_line_is_a_variable_blank_a_comment_or_reported(text: str) -> None:
    found = parse(text, "some.env")
    lines = [line.strip() for line in text.removeprefix("\ufeff").split("\n")]
    telling = [number for number, line in enumerate(lines, 1) if line and not line.startswith("#")]
    assert set(found.skipped) <= set(telling)
    assert len(found.values) <= len(telling) - len(found.skipped)
    assert all("=" in lines[number - 1] for number in telling if number not in found.skipped)
