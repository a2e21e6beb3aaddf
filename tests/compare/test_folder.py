"""The output folder never loses another run's results."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from wideflow import __version__
from wideflow.compare.folder import check_folder, default_folder, free_name
from wideflow.compare.settings import Settings, SettingsError


def write_results(out, settings, version=__version__):
    out.mkdir(parents=True)
    results = {"requested": asdict(settings), "versions": {"wideflow": version}}
    (out / "results.json").write_text(json.dumps(results), encoding="utf-8")
    return results


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("data", "folder"),
    [
        ("digits", "runs/compare-digits"),
        ("uci_gp/yacht", "runs/compare-uci_gp-yacht"),
        ("some where/my table.csv", "runs/compare-my-table"),
        ("../a.b.npz", "runs/compare-a.b"),
    ],
)
def test_default_folder_is_named_after_the_data(data, folder):
    assert default_folder(data) == Path(folder)


def test_new_and_empty_folders_are_free_and_stay_as_they_are(tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    assert not check_folder(empty, Settings())
    assert not check_folder(tmp_path / "a" / "b", Settings())
    assert list(tmp_path.iterdir()) == [empty]
    assert not list(empty.iterdir())


@pytest.mark.parametrize("settings", [Settings(), Settings(classes=("3", "8"), lr=0.1, data="digits")])
def test_folder_with_results_of_the_same_settings_is_taken_again(tmp_path, settings):
    out = tmp_path / "demo"
    write_results(out, settings)
    assert check_folder(out, settings)


@pytest.mark.parametrize(
    ("other", "difference"),
    [
        (Settings(width=256), "--width 256, not 512"),
        (Settings(lr=0.5), "--lr 0.5, not unset"),
        (Settings(classes=("0", "1")), "--classes 0,1, not unset"),
        (Settings(width=256, depth=2, seed=1, steps=3), r"\(4 in all\)"),
    ],
)
def test_folder_with_another_runs_results_is_kept_and_a_free_name_proposed(tmp_path, other, difference):
    out = tmp_path / "demo"
    write_results(out, other)
    (tmp_path / "demo-2").mkdir()
    before = contents(tmp_path)
    with pytest.raises(SettingsError, match=f"holds another run's results .*{difference}.*demo-3$"):
        check_folder(out, Settings())
    assert contents(tmp_path) == before


def test_folder_of_another_version_is_kept(tmp_path):
    write_results(tmp_path / "demo", Settings(), version="0.0.1")
    with pytest.raises(SettingsError, match=f"wideflow 0.0.1, this is {__version__}"):
        check_folder(tmp_path / "demo", Settings())


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"requested": 1}', '{"requested": {}}', "\xff"])
def test_results_of_an_unknown_kind_are_kept(tmp_path, text):
    (tmp_path / "results.json").write_text(text, encoding="latin-1")
    with pytest.raises(SettingsError, match=r"results\.json of an unknown kind"):
        check_folder(tmp_path, Settings())


def test_folder_with_other_files_is_kept_and_they_are_named(tmp_path):
    out = tmp_path / "site"
    out.mkdir()
    (out / "index.html").write_text("mine")
    with pytest.raises(SettingsError, match=r"not a run's \(index.html\).*site-2"):
        check_folder(out, Settings())
    assert contents(out) == {out / "index.html": b"mine"}


def test_file_in_the_place_of_the_folder_or_of_its_parent_is_an_error(tmp_path):
    file = tmp_path / "file"
    file.write_text("x")
    with pytest.raises(SettingsError, match=r"is a file, wanted a folder.*file-2"):
        check_folder(file, Settings())
    with pytest.raises(SettingsError, match="cannot be written to"):
        check_folder(file / "demo", Settings())


def test_folder_that_cannot_be_written_to_is_an_error(tmp_path, monkeypatch):
    def refuse(*args, **options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.TemporaryDirectory", refuse)
    with pytest.raises(SettingsError, match=r"cannot be written to \(Permission denied\)"):
        check_folder(tmp_path / "demo", Settings())


@pytest.mark.parametrize(("name", "free"), [("demo", "demo-2"), ("demo-2", "demo-3"), ("a-b", "a-b-2")])
def test_free_name_counts_on(tmp_path, name, free):
    assert free_name(tmp_path / name) == tmp_path / free


def test_free_name_is_found_for_the_current_folder(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert free_name(Path()).name == "here-2"
