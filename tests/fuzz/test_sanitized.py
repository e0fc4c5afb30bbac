"""The native core under the address and undefined-behaviour sanitizers: a short run of the fuzzer reports nothing."""

import pytest
from tests.fuzz import sanitize


@pytest.mark.slow
def test_the_fuzz_corpus_runs_clean_under_sanitizers():
    if sanitize.why_not():
        pytest.skip(f"no sanitized build: {sanitize.why_not()}")
    done = sanitize.fuzz(sanitize.build(), "--seed", "11", "--rounds", "2", "--budget", "60", timeout=300)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-6000:]
    assert "no difference in 300 programs; seeds 11 to 12" in done.stdout


def test_a_report_of_a_sanitizer_would_end_the_run(tmp_path):
    if sanitize.why_not():
        pytest.skip(f"no sanitized build: {sanitize.why_not()}")
    missing = sanitize.fuzz(tmp_path / "none.so", "--rounds", "1", timeout=60)
    assert missing.returncode != 0
