"""Every event version that was ever released decodes for ever: one file each, added with the version, never edited."""

from pathlib import Path

import pytest

from adapters.codec import Codec, Row
from domain.events import REGISTRY, UPCASTS, topic
from tests.adapters.representatives import REPRESENTATIVES

FOLDER = Path(__file__).parent / "golden" / "events"
GOLDEN = sorted(FOLDER.glob("*"))
TODAY = {topic(kind) for kind in REGISTRY.values()}
OLD = {f"{name}.v{version}" for name, version in UPCASTS}
BY_TOPIC = {topic(type(each.data)): each for each in REPRESENTATIVES}


def stored(path: Path) -> tuple[Row, bytes]:
    state = path.read_bytes().removesuffix(b"\n")
    return Row(7, "9b" * 16, 3, path.stem, 6, state), state


def test_every_known_topic_has_a_golden_file_and_no_file_is_an_orphan() -> None:
    assert {path.name for path in GOLDEN} == {f"{name}.json" for name in TODAY | OLD}


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_every_released_event_version_still_decodes(path: Path) -> None:
    row, _ = stored(path)
    event = Codec().decode(row)
    assert str(event.data.__struct_config__.tag) == path.stem.rpartition(".v")[0]


@pytest.mark.parametrize("path", [path for path in GOLDEN if path.stem in TODAY], ids=lambda path: path.stem)
def test_todays_versions_encode_to_the_same_bytes(path: Path) -> None:
    row, state = stored(path)
    assert Codec().encode(Codec().decode(row)) == (path.stem, state)


@pytest.mark.parametrize("path", [path for path in GOLDEN if path.stem in TODAY], ids=lambda path: path.stem)
def test_a_golden_file_sets_every_field_that_had_no_default_when_it_was_released(path: Path) -> None:
    """What the file says is what the representative says, so that no field is decoded by luck."""
    row, _ = stored(path)
    event, given = Codec().decode(row, BY_TOPIC[path.stem].body), BY_TOPIC[path.stem]
    assert event == given, f"if this is a new field: write {path.name} again only while {path.stem} is unreleased"
