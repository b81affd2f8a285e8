"""`rt init` makes a home and overwrites nothing."""

from tests.commands.place import Place


def test_a_home_is_made_with_a_configuration_that_checks(place: Place) -> None:
    made = place.json("init")
    assert made == {
        "schema": "rt.init.v1",
        "config": str(place.folder / "rt.toml"),
        "home": str(place.state),
        "gitignore": False,
    }
    assert place.head() == 0
    assert place.state.stat().st_mode & 0o777 == 0o700
    place.ok("config", "check")
    place.ok("do", "--", "true")


def test_the_template_shows_the_defaults(place: Place) -> None:
    without = place.json("config", "show")
    place.ok("init")
    with_it = place.json("config", "show")
    for document in (without, with_it):
        del document["file"], document["files"], document["origins"]  # where it stands, not what it says
    assert with_it == without


def test_nothing_is_overwritten(place: Place) -> None:
    place.config("# mine\n")
    done = place.rt("init", "--json")
    assert done.code == 5
    assert done.error["code"] == "home.exists"
    assert done.error["hint"].startswith("rt init DIR ")
    assert (place.folder / "rt.toml").read_text() == "# mine\n"
    assert not place.state.exists()


def test_force_replaces_the_configuration_and_keeps_the_log(place: Place) -> None:
    place.config("# mine\n")
    place.do("true")
    head = place.head()
    place.ok("init", "--force")
    assert "[retry]" in (place.folder / "rt.toml").read_text()
    assert place.head() == head


def test_the_log_is_kept_out_of_git_where_there_is_git(place: Place) -> None:
    (place.folder / ".git").mkdir()
    (place.folder / ".gitignore").write_text("build")
    assert place.json("init")["gitignore"] is True
    assert (place.folder / ".gitignore").read_text() == "build\n.rt/\n"
    assert place.json("init", "--force")["gitignore"] is False
    assert (place.folder / ".gitignore").read_text() == "build\n.rt/\n"


def test_a_folder_can_be_named_and_is_found_from_below(place: Place) -> None:
    place.ok("init", "project")
    below = place.folder / "project" / "src" / "deep"
    below.mkdir(parents=True)
    assert place.rt("do", "--", "true", cwd=below).code == 0
    assert Place(place.folder / "project").head() > 0
    assert not (below / ".rt").exists()
