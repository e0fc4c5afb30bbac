"""The pytest plugin: `pytest --opentrn` makes `import nki` in test files mean opentrn.

The fixture `trn_profile` is `opentrn.profile`: ``assert trn_profile(kernel)(a, b).latency_us < 50``. The fixture `trn_check`
is `opentrn.check` that fails the test on findings: ``trn_check(kernel)(a, b)``. The marker
``@pytest.mark.opentrn_check(fail_on="error")`` checks every kernel that a test launches.

Without the option or the marker nothing else of opentrn is imported: pytest loads this file in every project of the environment.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from functools import partial
from typing import Any

import pytest

__all__ = [
    "pytest_addoption",
    "pytest_configure",
    "pytest_runtest_call",
    "pytest_runtest_makereport",
    "pytest_unconfigure",
    "trn_check",
    "trn_profile",
]

_MARKER = "opentrn_check"


def _asked(config: pytest.Config) -> bool:
    return bool(config.getoption("opentrn") or config.getoption("opentrn_shadow"))


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("opentrn")
    group.addoption("--opentrn", action="store_true", help="let `import nki` mean opentrn")
    group.addoption("--opentrn-shadow", action="store_true", help="the same, even where another nki is installed")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        f'{_MARKER}(fail_on="error", only=[], ignore=[], severity={{}}, target=None): check every kernel that the test '
        "launches, and fail on findings as bad as `fail_on` or worse (docs/checks.md)",
    )
    if not _asked(config):
        return
    from opentrn.errors import InstallError
    from opentrn.install import install

    try:
        install(shadow=bool(config.getoption("opentrn_shadow")))
    except InstallError as error:
        raise pytest.UsageError(str(error)) from None


def pytest_unconfigure(config: pytest.Config) -> None:
    if not _asked(config):
        return
    from opentrn.install import uninstall

    uninstall()


@pytest.fixture(scope="session")
def trn_profile() -> Callable[..., Any]:
    """`opentrn.profile`: how long a kernel takes on the chip, and why (also without --opentrn)."""
    from opentrn.nki.profile import profile

    return profile


@pytest.fixture(scope="session")
def trn_check() -> Callable[..., Callable[..., list[Any]]]:
    """`opentrn.check` that fails the test on findings as bad as `fail_on` or worse, and gives the others back.

    ``trn_check(kernel[2], fail_on="warning")(a, b)``; the options are those of the marker.
    """

    def checked(kernel: Any, **options: Any) -> Callable[..., list[Any]]:
        from opentrn.nki.check import evidence_of
        from opentrn.nki.kernel import simulate

        looks, fail_on, target = _asked_of(options)

        def run(*args: Any, **kwargs: Any) -> list[Any]:
            __tracebackhide__ = True
            watch = looks.choice.wants("hardware")
            looks.add(evidence_of(simulate(kernel), args, kwargs, target, watch=watch), source=True)
            _judge(looks, fail_on)
            return list(looks.outcome().findings)

        return run

    return checked


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    marker = item.get_closest_marker(_MARKER)
    if marker is None:
        return (yield)
    from opentrn.nki.check import checking

    looks, fail_on, target = _asked_of(marker.kwargs)
    try:
        with checking(partial(looks.add, source=True), target, watch=looks.choice.wants("hardware")):
            result = yield
    except BaseException:
        if looks.subjects:
            item.add_report_section("call", "opentrn check", _text(looks))
        raise
    _judge(looks, fail_on)
    return result


def _asked_of(options: Mapping[str, Any]) -> tuple[Any, str, str | None]:
    """(looks, severity that fails, chip) of the options of a marker or fixture; wrong ones fail the test."""
    from opentrn.checks.finding import SEVERITIES
    from opentrn.checks.look import Choice
    from opentrn.checks.outcome import Looks

    def read(
        fail_on: str = "error", only: Any = (), ignore: Any = (), severity: Any = None, target: str | None = None
    ) -> tuple[Any, str, str | None]:
        if fail_on not in SEVERITIES:
            raise TypeError(f"fail_on={fail_on!r} is none of {', '.join(SEVERITIES)}")
        # one test launches some kernels with some shapes, so it cannot tell that a suppression is of no use
        return Looks(Choice(tuple(only), (*ignore, "suppressions.unused"), severity or {})), fail_on, target

    try:
        return read(**options)
    except TypeError as error:  # LaunchError is one
        pytest.fail(f"{_MARKER}: {error}", pytrace=False)


def _judge(looks: Any, fail_on: str) -> None:
    if looks.outcome().fails(fail_on):
        pytest.fail(_text(looks), pytrace=False)


def _text(looks: Any) -> str:
    from opentrn.checks.formats import render

    return render(looks.outcome(), "text").rstrip()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    if call.excinfo is not None and _asked(item.config):
        from opentrn.cli.user_frames import keep_user_frames

        keep_user_frames(call.excinfo.value)
    return (yield)
