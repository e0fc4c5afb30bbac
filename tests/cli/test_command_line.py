"""The command itself: help, version, unknown commands, the small commands."""

import json
import subprocess
import sys

import pytest

from opentrn.cli import COMMANDS, main, table


def test_no_command_prints_the_help(opentrn):
    done = opentrn()
    assert done.returncode == 0
    assert all(name in done.stdout for name in COMMANDS)
    assert "Exit codes: 0 success" in done.stdout


def test_every_command_has_a_summary_and_a_help(capsys):
    for name, module in COMMANDS.items():
        summary = (module.__doc__ or "").splitlines()[0]
        assert 10 < len(summary) < 90, name


@pytest.mark.parametrize("name", ["run", "isa", "doctor", "docs"])
def test_help_of_a_command(name, capsys):
    with pytest.raises(SystemExit) as exit_:
        main([name, "--help"])
    assert exit_.value.code == 0
    assert f"usage: opentrn {name}" in capsys.readouterr().out


def test_version(capsys):
    with pytest.raises(SystemExit) as exit_:
        main(["--version"])
    assert exit_.value.code == 0
    assert capsys.readouterr().out.startswith("opentrn ")


def test_unknown_command_suggests_near_names(capsys):
    assert main(["doktor"]) == 2
    assert capsys.readouterr().err == "opentrn: no command 'doktor'; did you mean doctor?\n"


def test_unknown_command_without_near_names_lists_all(capsys):
    assert main(["xyzzy"]) == 2
    assert "the commands are run, check, lint, profile, " in capsys.readouterr().err


def test_unknown_option_of_a_command_is_a_usage_error(capsys):
    with pytest.raises(SystemExit) as exit_:
        main(["doctor", "--nonsense"])
    assert exit_.value.code == 2


def test_doctor_names_versions_and_the_native_core(opentrn):
    done = opentrn("doctor", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["python"]["state"] == ".".join(map(str, sys.version_info[:3]))
    assert found["numpy"]["state"] == __import__("numpy").__version__
    native = found["native"]
    assert native["state"].startswith("active") or (
        "numpy path" in native["state"] and "C++20 compiler" in native["hint"]
    )


def test_doctor_tells_the_selected_target(opentrn):
    done = opentrn("doctor", "--json", env={"NEURON_PLATFORM_TARGET_OVERRIDE": "trn3"})
    assert json.loads(done.stdout)["target"]["state"] == "trn3"


def test_doctor_as_a_table_has_the_same_rows(opentrn):
    found = json.loads(opentrn("doctor", "--json").stdout)
    words = opentrn("doctor").stdout.split()
    assert all(name in words for name in found)


def test_doctor_tells_a_target_that_does_not_exist(opentrn):
    done = opentrn("doctor", "--json", env={"NEURON_PLATFORM_TARGET_OVERRIDE": "trn9"})
    assert done.returncode == 0, done.stderr
    target = json.loads(done.stdout)["target"]
    assert "trn9" in target["state"]
    assert "trn2" in target["hint"]


def test_doctor_explains_why_the_native_core_is_off(python):
    text = "import sys; sys.modules['opentrn._native'] = None; from opentrn.cli import main; main(['doctor', '--json'])"
    native = json.loads(python("-c", text).stdout)["native"]
    assert native["state"].startswith("off, the numpy path is active")
    assert "install a C++20 compiler" in native["hint"]


def test_doctor_knows_that_the_native_core_was_turned_off(opentrn):
    native = json.loads(opentrn("doctor", "--json", env={"OPENTRN_NATIVE": "0"}).stdout)["native"]
    assert native["state"].startswith("off")
    assert native["hint"]


def test_table_without_rich_is_plain_columns(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "rich.console", None)
    table.show(("name", "state"), [("a", "on"), ("longer", "")])
    assert capsys.readouterr().out == "name    state\na       on\nlonger\n"


def test_table_with_rich_shows_brackets_as_they_are(capsys):
    pytest.importorskip("rich")
    table.show(("what", "how"), [("torch", "pip install 'opentrn[torch]'")])
    assert "'opentrn[torch]'" in capsys.readouterr().out


@pytest.mark.skipif(sys.platform == "win32", reason="a closed pipe is another error there")
def test_a_reader_that_goes_away_is_no_error():
    with subprocess.Popen(
        [sys.executable, "-m", "opentrn", "isa"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        process.stdout.close()
        assert (process.stderr.read(), process.wait(timeout=60)) == (b"", 141)
