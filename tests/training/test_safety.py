"""The ``safety`` group: what is taken, what is refused, and what it leaves as it was."""

from __future__ import annotations

import pytest
import yaml

from ssl_av import cli
from ssl_av.config import Budget, RunConfig
from ssl_av.errors import Interrupted, UserError
from ssl_av.training.safety import Safety

RUN = RunConfig({"name": "avid"}, {"name": "synthav"}, Budget(steps=2))


@pytest.mark.parametrize(
    ("text", "every"),
    [("steps=20", ("steps", 20)), ("minutes=0.5", ("minutes", 0.5)), ("steps=1_0", ("steps", 10))],
)
def test_how_often(text: str, every: tuple[str, float]) -> None:
    assert Safety(checkpoint_every=text).every == every


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"checkpoint_every": "20"}, "checkpoint_every 20: write it as steps=N or minutes=N"),
        ({"checkpoint_every": "step=20"}, "unknown unit .* 'step'; did you mean steps"),
        ({"checkpoint_every": "steps=0"}, "'0' is not above 0"),
        ({"checkpoint_every": "steps=2.5"}, "'2.5' is not above 0"),
        ({"checkpoint_every": "minutes=inf"}, "'inf' is not above 0"),
        ({"keep": 0}, "keep 0: give how many"),
        ({"keep": True}, "keep True: give how many"),
        ({"on_nonfinite": "stopp"}, "unknown value of --safety.on_nonfinite 'stopp'; did you mean stop"),
        ({"on_collapse": "skip"}, "unknown value of --safety.on_collapse 'skip'"),
    ],
)
def test_what_is_refused(values: dict, says: str) -> None:
    with pytest.raises(UserError, match=says):
        Safety(**values)


def test_a_config_says_it_only_where_it_is_not_the_default() -> None:
    assert "safety" not in RUN.to_dict()
    given = RunConfig(RUN.method, RUN.data, RUN.budget, safety=Safety(keep=5))
    read = yaml.safe_load(yaml.safe_dump(given.to_dict()))
    assert read["safety"]["keep"] == 5
    assert RunConfig.from_dict(read) == given
    assert RunConfig.from_dict(RUN.to_dict()).safety == Safety()


def test_the_command_line_ends_with_the_signals_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stopped(argv: object) -> int:
        raise Interrupted(15, "stopped by SIGTERM after step 7")

    monkeypatch.setattr(cli, "run", stopped)
    with pytest.raises(SystemExit) as ended:
        cli.main(["fit"])
    assert ended.value.code == 143
    assert capsys.readouterr().err == "ssl-av: stopped by SIGTERM after step 7\n"
