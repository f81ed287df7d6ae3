from __future__ import annotations

import os
from pathlib import Path

import pytest

from coordinator.importers.errors import ImportFailed, shortened
from coordinator.importers.files import KEY_PARTS_MAX, TOML_BYTES_MAX, read_toml, regular_size


def toml(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "book.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_devices_pipes_and_folders_are_refused_without_opening_them(tmp_path: Path) -> None:
    pipe, link = tmp_path / "pipe", tmp_path / "link.csv"
    os.mkfifo(pipe)
    link.symlink_to("/dev/zero")
    for path in (pipe, link, tmp_path, Path("/dev/zero")):
        with pytest.raises(ImportFailed, match="no regular file"):
            regular_size(path)
        with pytest.raises(ImportFailed, match="no regular file"):
            read_toml(path)


def test_a_name_no_file_can_have_is_a_clear_error(tmp_path: Path) -> None:
    for name in ("a\0b", "x" * 5_000):
        with pytest.raises(ImportFailed, match="cannot be read") as caught:
            regular_size(tmp_path / name)
        assert len(str(caught.value)) < 600


def test_a_toml_file_above_the_limit_is_refused_and_one_at_it_is_read(tmp_path: Path) -> None:
    assert read_toml(toml(tmp_path, "#" * TOML_BYTES_MAX)) == {}
    with pytest.raises(ImportFailed, match="larger than"):
        read_toml(toml(tmp_path, "#" * (TOML_BYTES_MAX + 1)))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("x = 1" + "0" * 5_000, "no readable TOML"),
        ("x = " + "[" * 100_000, "nested too deeply"),
        (".".join(["a"] * 100_000) + " = 1", "dotted name"),
        (" . ".join(['"a"'] * 100_000) + " = 1", "dotted name"),
        ("[" + ".".join(["a"] * 100_000) + "]", "dotted name"),
        ("x" * 100_000 + " y", "no readable TOML"),
    ],
)
def test_hostile_toml_is_one_short_error(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(ImportFailed, match=told) as caught:
        read_toml(toml(tmp_path, text))
    assert len(str(caught.value)) < 600


def test_dotted_keys_within_the_limit_are_read(tmp_path: Path) -> None:
    parts = ["a"] * KEY_PARTS_MAX
    assert "a" in read_toml(toml(tmp_path, ".".join(parts) + " = 1"))


def test_shortened_text_keeps_its_beginning_and_says_that_it_was_cut() -> None:
    assert shortened("a" * 200) == "a" * 200
    assert shortened("a" * 201) == "a" * 197 + "..."
