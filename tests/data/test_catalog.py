"""Data sets by name: bundled, in a further folder, verified, with the roles of their cards."""

import hashlib
import re
from pathlib import Path

import pandas as pd
import pytest
import yaml

from toolkit.data import places
from toolkit.data.cards import read_card, read_roles
from toolkit.data.catalog import DATA_FOLDER, list_datasets, load_dataset
from toolkit.data.findings import find
from toolkit.data.places import bundled
from toolkit.data.splits import choose_splits
from toolkit.errors import InputError

BUNDLED = sorted(path.parent.name for path in bundled("datasets").glob("*/card.yaml"))
PIPELINES = sorted(bundled("pipelines").glob("*.yaml"))
OPEN = re.compile(r"CC BY 4\.0|CC BY-ND 4\.0|CC0|DbCL|MIT|public domain")
NEEDED = {
    "abalone", "adult_income", "airfoil_noise", "ames_housing", "beijing_pm25", "bike_sharing_hourly",
    "california_housing", "concrete_strength", "cps1988_wages", "diamonds", "energy_efficiency", "insurance_charges",
    "metro_traffic", "protein_casp", "supercon_magpie", "wine_quality",
}  # fmt: skip


@pytest.fixture(autouse=True)
def only_bundled(monkeypatch):
    monkeypatch.delenv(DATA_FOLDER, raising=False)


def test_the_bundle_is_complete_open_and_small():
    assert set(BUNDLED) >= NEEDED
    assert all(OPEN.search(read_card(bundled("datasets") / name / "card.yaml").licence) for name in BUNDLED)
    size = sum(path.stat().st_size for path in bundled("datasets").rglob("*") if path.is_file())
    assert size < 10_000_000
    assert not list(bundled("datasets").rglob("*.py"))


@pytest.mark.parametrize("name", BUNDLED)
def test_bundled_sets_load_as_their_cards_say(name):
    data = load_dataset(name)
    card = read_card(bundled("datasets") / name / "card.yaml")
    path = bundled("datasets") / name / card.file
    assert card.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert card.size_bytes == path.stat().st_size
    assert len(data.frame) + sum(data.dropped.values()) == card.row_count
    assert len({*data.frame.columns} - {data.groups, data.series} | ({data.groups} & {*card.roles.groups})) == (
        card.column_count
    )
    assert list(data.targets) == card.targets
    assert not {*data.targets, *card.roles.drop} & set(data.features)
    assert {note["column"] for note in data.notes if note["finding"] == "left_out_column"} == set(card.roles.drop)
    for target, summary in (card.checks or {}).get("target_summary", {}).items():
        if "mean" in summary and not data.dropped:
            assert data.frame[target].mean() == pytest.approx(summary["mean"], rel=1e-5)


@pytest.mark.parametrize("name", ["bike_sharing_hourly", "ames_housing", "adult_income"])
def test_no_identifier_and_no_leak_is_left(name):
    hit = {finding["finding"] for finding in find(load_dataset(name))}
    assert not hit & {"identifier_column", "determines_target", "constant_column", "mixed_types"}


def test_texts_that_look_missing_are_kept():
    assert (load_dataset("ames_housing").frame["mas_vnr_type"] == "None").sum() > 1000
    assert load_dataset("adult_income").frame["workclass"].isna().sum() == 2799
    assert load_dataset("metro_traffic").frame["holiday"].isna().sum() == 0


def test_what_the_card_leaves_out_is_said_and_can_be_asked_for():
    data = load_dataset("bike_sharing_hourly")
    said = {note["column"]: note["message"] for note in data.notes}
    assert said["casual"] == "'casual' is not a feature: part of the target"
    assert find(data)[: len(said)] == list(data.notes)
    asked = load_dataset("bike_sharing_hourly", features=["hr", "casual"])
    assert asked.features == ("hr", "casual")
    more = load_dataset("bike_sharing_hourly", drop=["atemp"], kinds={"mnth": "cyclic"})
    assert "atemp" not in more.features and "casual" not in more.features
    assert (more.kinds["mnth"], more.kinds["hr"]) == ("cyclic", "cyclic")


def test_a_dropped_column_loses_the_role_that_the_card_gives_it():
    assert "holiday" in load_dataset("metro_traffic").known_ahead
    data = load_dataset("metro_traffic", drop=["holiday", "weather_main"])
    assert "holiday" not in data.known_ahead and "weather_main" not in data.past_only and "temp" in data.past_only


def test_another_target_and_no_time():
    data = load_dataset("bike_sharing_hourly", target="casual", drop=["cnt"])
    assert data.targets == ("casual",)
    assert "registered" not in data.features
    assert load_dataset("bike_sharing_hourly", time=None).kinds["datetime"] == "date"


def test_repeated_hours_of_metro_traffic_are_left_out():
    data = load_dataset("metro_traffic")
    assert data.dropped == {"repeats an earlier date_time": 7629}
    assert not data.frame["date_time"].duplicated().any()


@pytest.mark.parametrize(
    ("name", "scheme", "groups"),
    [("concrete_strength", "group", 427), ("airfoil_noise", "group", 106), ("supercon_magpie", "group", 3063)],
)
def test_groups_of_the_card(name, scheme, groups):
    data = load_dataset(name)
    assert data.frame[data.groups].nunique() == groups  # as the card counts them
    assert choose_splits(data).scheme == scheme


def test_the_further_folder(shared, monkeypatch):
    monkeypatch.setenv(DATA_FOLDER, str(shared / "data"))
    listed = list_datasets()
    assert set(listed.name) >= {*BUNDLED, "titanic", "m4_hourly", "oj_dominicks"}
    assert listed.set_index("name").place["abalone"] == "bundled"
    titanic = load_dataset("titanic")
    assert (titanic.target_kind, titanic.groups) == ("binary", "ticket")
    assert not {"passenger_id", "name"} & set(titanic.features)
    orange = load_dataset("oj_dominicks")
    assert orange.series == "store..brand" and orange.frame[orange.series].nunique() == 913
    assert "profit" not in orange.features
    hourly = load_dataset("m4_hourly")
    assert (hourly.series, hourly.time, hourly.features) == ("unique_id", "ds", ())
    assert "split" in hourly.frame


def test_roles_of_further_sets_fit_their_tables(shared):
    for name, roles in read_roles(bundled("datasets") / "roles.yaml").items():
        assert name not in BUNDLED
        card = read_card(shared / "data" / name / "card.yaml")
        columns = {column["name"] for column in card.columns}
        named = [*roles.drop, *roles.kinds, *roles.known_ahead, *roles.past_only, *roles.static, *roles.groups]
        assert set(named) <= columns, name


def a_set(folder: Path, name: str = "mine", **changes) -> Path:
    place = folder / name
    place.mkdir()
    pd.DataFrame({"x": range(9), "y": range(1, 10)}).to_csv(place / "mine.csv", index=False)
    card = {"name": name, "targets": ["y"], "file": "mine.csv"} | changes
    (place / "card.yaml").write_text(yaml.safe_dump({key: value for key, value in card.items() if value != "-"}))
    return place


def test_three_lines_are_a_card(tmp_path, monkeypatch):
    a_set(tmp_path)
    monkeypatch.setenv(DATA_FOLDER, str(tmp_path))
    assert load_dataset("mine").features == ("x",)
    assert list_datasets().set_index("name").licence["mine"] == "unknown"


def test_a_bundled_set_wins_over_one_of_the_same_name(tmp_path, monkeypatch):
    a_set(tmp_path, "abalone")
    monkeypatch.setenv(DATA_FOLDER, str(tmp_path))
    assert len(load_dataset("abalone").frame) == 4177


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"file": "-"}, "file: this key is needed"),
        ({"targets": "-"}, "targets: this key is needed"),
        ({"targets": []}, "targets: "),
        ({"licenze": "MIT"}, "licenze: unknown key, did you mean licence?"),
        ({"roles": {"dorp": {}}}, "roles.dorp: unknown key, did you mean drop?"),
        ({"roles": {"drop": ["x"]}}, "roles.drop: "),
        ({"row_count": "many"}, "row_count: "),
        ({"sha256": "abc"}, "sha256: "),
    ],
)
def test_a_wrong_card_names_itself_and_the_key(tmp_path, monkeypatch, changes, message):
    place = a_set(tmp_path, **changes)
    monkeypatch.setenv(DATA_FOLDER, str(tmp_path))
    with pytest.raises(InputError) as error:
        load_dataset("mine")
    assert str(error.value).startswith(f"card {place / 'card.yaml'}: {message}")
    assert "\n" not in str(error.value)


def test_files_that_do_not_fit_their_card(tmp_path, monkeypatch):
    a_set(tmp_path, sha256="0" * 64)
    a_set(tmp_path, "gone", file="other.csv")
    a_set(tmp_path, "target", targets=["z"])
    (a_set(tmp_path, "yaml") / "card.yaml").write_text("name: [")
    monkeypatch.setenv(DATA_FOLDER, str(tmp_path))
    with pytest.raises(InputError, match=r"not the file that the card describes \(sha256 [0-9a-f]{12}"):
        load_dataset("mine")
    with pytest.raises(InputError, match=r"the card names the file 'other\.csv', which is not in"):
        load_dataset("gone")
    with pytest.raises(InputError, match="unknown target column 'z'"):
        load_dataset("target")
    with pytest.raises(InputError, match="not valid YAML"):
        load_dataset("yaml")


def test_unknown_names(monkeypatch, tmp_path):
    with pytest.raises(InputError, match="unknown data set 'bike_sharing', did you mean 'bike_sharing_hourly'"):
        load_dataset("bike_sharing")
    with pytest.raises(InputError, match="unknown column in drop 'hrs', did you mean 'hr'"):
        load_dataset("bike_sharing_hourly", drop=["hrs"])
    monkeypatch.setenv(DATA_FOLDER, str(tmp_path / "nowhere"))
    with pytest.raises(InputError, match=r"TOOLKIT_DATA names '.*nowhere', which is not a folder"):
        list_datasets()


def test_the_bundle_is_found_inside_and_beside_the_package(tmp_path, monkeypatch):
    monkeypatch.setattr(places, "PACKAGE", tmp_path / "toolkit")
    with pytest.raises(InputError, match="neither inside nor beside the package"):
        bundled("datasets")
    (tmp_path / "datasets").mkdir()
    assert bundled("datasets") == tmp_path / "datasets"
    (tmp_path / "toolkit" / "datasets").mkdir(parents=True)
    assert bundled("datasets") == tmp_path / "toolkit" / "datasets"


@pytest.mark.parametrize("path", PIPELINES, ids=[path.stem for path in PIPELINES])
def test_the_data_of_every_bundled_pipeline_load(path):
    content = yaml.safe_load(path.read_text())
    assert content["question"].endswith("?")
    roles = content["data"]
    name = roles.pop("dataset")
    if name not in BUNDLED:
        pytest.skip(f"{name} is not bundled")
    settings = content.get("splits", {})
    forecast = settings.get("scheme") in ("rolling_origin", "official")
    data = load_dataset(
        name, **{key: value for key, value in roles.items() if key not in ("freq", "periods", "country")}
    )
    if not forecast:
        splits = choose_splits(data, **settings)
        assert len(splits.folds) == settings["folds"] * (settings.get("repeats") or 1)
        formula = content["arms"].get("formula", {}).get("formula", "")
        names = set(re.findall(r"[A-Za-z_][A-Za-z_0-9]*", formula)) - {"np", "log", "log1p", "C", "I"}
        assert names <= {*data.features, *data.targets}
