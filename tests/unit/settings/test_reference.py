"""The page of settings says what the code does."""

from __future__ import annotations

from pathlib import Path

from coordinator.settings import Settings, load_settings, reference, reference_page
from tests.house.findings import ROOT

PAGE = ROOT / "ops/docs/settings.md"


def test_the_page_is_what_the_code_says() -> None:
    """After a change: `python -m coordinator.settings > ops/docs/settings.md`."""
    assert PAGE.read_text(encoding="utf-8") == reference_page()


def test_every_setting_has_a_type_and_a_meaning() -> None:
    for setting in reference():
        assert setting.kind, setting.name
        assert setting.meaning, setting.name
        assert setting.meaning.endswith("."), setting.name


def test_no_secret_has_a_default() -> None:
    secrets = [one for one in reference() if one.kind == "secret"]
    assert len(secrets) >= 5
    assert {one.default for one in secrets} == {""}
    assert Settings().secrets() == ()


def test_the_defaults_of_the_page_are_a_settings_file(tmp_path: Path) -> None:
    lines = [f"{one.name} = {one.default}" for one in reference() if one.default]
    path = tmp_path / "all.toml"
    path.write_text("\n".join(lines), encoding="utf-8")
    ours = load_settings(path)
    assert ours.model_dump(exclude={"worker": {"id"}}) == Settings().model_dump(
        exclude={"worker": {"id"}}
    )
