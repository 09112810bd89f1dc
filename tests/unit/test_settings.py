"""Settings: one precedence, origins that are told, and errors in one line."""

from pathlib import Path

import pytest

from exchange.errors import CannotStart
from exchange.settings import DEFAULT, FLAG, Settings, load

FLAGS: dict[str, str] = {}


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(f"POINTCLEAR_{name.upper()}", raising=False)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "pointclear.toml"


def test_a_flag_goes_before_the_environment_before_the_file_before_the_default(
    tmp_path: Path, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def pool() -> tuple[int, str]:
        loaded = load(FLAGS, tmp_path, None)
        return loaded.settings.pool_size, loaded.origins["pool_size"]

    assert pool() == (8, DEFAULT)
    file.write_text("pool_size = 11\n")
    assert pool() == (11, str(file))
    monkeypatch.setenv("POINTCLEAR_POOL_SIZE", "12")
    assert pool() == (12, "POINTCLEAR_POOL_SIZE")
    loaded = load({"pool_size": "13"}, tmp_path, None)
    assert (loaded.settings.pool_size, loaded.origins["pool_size"]) == (13, FLAG)


def test_another_file_may_be_named_and_must_be_there(tmp_path: Path) -> None:
    other = tmp_path / "other.toml"
    with pytest.raises(CannotStart, match=r"other\.toml is missing: "):
        load(FLAGS, tmp_path, other)
    other.write_text('http = "127.0.0.1:9443"\n')
    assert load(FLAGS, tmp_path, other).settings.http == "127.0.0.1:9443"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("pool_sise = 4\n", "there is no setting pool_sise"),
        ("[pool_size]\n", r"the setting pool_size \(.*pointclear\.toml\) is not valid"),
        ("pool_size = 1\n", "is not valid: Input should be greater than or equal to 2"),
        ('listen = "here"\n', "give it as HOST:PORT"),
        ("orders_burst = 499\n", "greater than or equal to 500"),
        ("pool_size =\n", "is no TOML file"),
    ],
)
def test_what_is_wrong_in_the_file_is_said_in_one_line_that_names_it(
    tmp_path: Path, file: Path, content: str, said: str
) -> None:
    file.write_text(content)
    with pytest.raises(CannotStart, match=said) as raised:
        load(FLAGS, tmp_path, None)
    assert str(file) in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_wrong_value_is_never_repeated_since_it_may_be_a_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POINTCLEAR_LISTEN", "secret-word")
    with pytest.raises(CannotStart, match="POINTCLEAR_LISTEN") as raised:
        load(FLAGS, tmp_path, None)
    assert "secret-word" not in str(raised.value)


@pytest.mark.parametrize("url", ["postgresql://u:secret-word@h/d", "u:secret-word@h nonsense"])
def test_a_password_is_masked_where_settings_are_shown(tmp_path: Path, url: str) -> None:
    loaded = load({"database_url": url}, tmp_path, None)
    assert loaded.settings.database_url == url
    shown = {name: value for name, value, _origin in loaded.shown()}
    assert "secret-word" not in str(shown)
    assert "***" in shown["database_url"]


def test_every_setting_is_shown_and_described() -> None:
    loaded = load(FLAGS, Path("nowhere"), None)
    assert [name for name, _, _ in loaded.shown()] == list(Settings.model_fields)
    assert all(each.description for each in Settings.model_fields.values())
