"""Comments that suppress findings: where they count, and when they are findings themselves."""

import ast

from tests.checks.looking import look

from opentrn.checks.check import CHECKS, Check
from opentrn.checks.evidence import Source, read_source
from opentrn.checks.finding import Finding
from opentrn.checks.look import Choice, examine, merged
from opentrn.checks.outcome import Looks
from opentrn.checks.suppressions import suppressions_in
from opentrn.nki import isa as nisa
from opentrn.nki import language as nl
from opentrn.nki.arrays import ShapeDtype
from opentrn.nki.check import check, evidence_of
from opentrn.nki.kernel import simulate

TEXT = '''
"""# opentrn: ignore[memory] in a string is none"""
a = 1  # opentrn: ignore[memory.bounds] one line
# a comment, and then
# opentrn: ignore[memory, rules.nc_matmul] the next statement
b = [
    1,
    2,  # noqa # opentrn: ignore[memory.clobber] inside
]
@decorated
# opentrn: ignore[memory.capacity] decorators and header
def f(
    x,
):
    return x

# opentrn: ignore[memory.address] nothing follows
'''


def test_which_lines_a_comment_covers():
    found = [(s.line, s.first, s.last, s.names, s.reason) for s in suppressions_in("f.py", TEXT)]
    assert found == [
        (3, 3, 3, ("memory.bounds",), "one line"),
        (5, 6, 9, ("memory", "rules.nc_matmul"), "the next statement"),
        (8, 6, 9, ("memory.clobber",), "inside"),
        (11, 10, 14, ("memory.capacity",), "decorators and header"),
        (17, 17, 17, ("memory.address",), "nothing follows"),
    ]


def test_text_that_is_no_python_has_none():
    assert suppressions_in("f.py", "# opentrn: ignore[memory] x\ndef (:\n    '''") == ()


def test_a_name_suppresses_what_is_below_it():
    (comment,) = suppressions_in("f.py", "x = 1  # opentrn: ignore[rules.nc_matmul] why\n")

    def finding(check, rule, line=1, file="f.py"):
        return Finding(check, rule, "error", "m", file, line, None, "documented")

    assert comment.by(finding("rules", "nc_matmul.dst.memory")) == "rules.nc_matmul"
    assert comment.by(finding("rules", "nc_matmul_mx.dst.memory")) is None
    assert comment.by(finding("rules", "nc_matmul.c3", line=2)) is None
    assert comment.by(finding("rules", "nc_matmul.c3", file="g.py")) is None


def malformed(text):
    source = Source("f.py", text, ast.parse(text))
    return {(f.rule, f.line): f for f in look("source", source, Choice(only=("suppressions",)))}


def test_wrong_comments_are_findings():
    found = malformed(
        "a = 1  # opentrn: ignore[memory.bounds]\nb = 2  # opentrn: ignore[memroy] why\nc = 3  # opentrn: ignore it\n"
    )
    assert set(found) == {("reason", 1), ("unknown", 2), ("unknown", 3)}
    assert found["unknown", 2].hint.startswith("did you mean memory")
    assert "names no check" in found["unknown", 3].message


def test_a_misspelt_word_before_the_bracket_is_one():
    assert set(malformed("a = 1  # opentrn: ignores[memory] why\nb = 2  # opentrn: a word on simulators\n")) == {
        ("unknown", 1)
    }


SHAPE = ShapeDtype((128, 64), "float32")


def half_loaded(x, whole=False):
    out = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm)
    tile = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.sbuf)
    nisa.dma_copy(dst=tile if whole else tile[:, :32], src=x if whole else x[:, :32])
    # opentrn: ignore[memory.uninitialised] the test wants it so
    nisa.activation(
        dst=tile,
        op=nl.exp,
        data=tile,
    )
    nisa.dma_copy(dst=out, src=tile)  # opentrn: ignore[memory.clobber] nothing is clobbered here
    return out


def labels(findings):
    return [finding.label for finding in findings]


def test_a_suppressed_finding_is_left_out_and_a_useless_comment_is_one():
    (found,) = check(half_loaded)(SHAPE)
    assert found.label == "suppressions.unused" and found.severity == "advice"
    assert found.line == half_loaded.__code__.co_firstlineno + 10
    assert found.hint == "take the comment out"


def test_a_comment_that_one_run_needs_is_in_use():
    evidence = [evidence_of(simulate(half_loaded), (SHAPE,), {"whole": whole}) for whole in (True, False)]
    parts = [examine("run", each, Choice()) for each in evidence]
    assert len(merged(parts[:1], Choice()).findings) == 2
    found = merged(parts, Choice())
    assert labels(found.findings) == ["suppressions.unused"] and "clobber" in found.findings[0].message
    ((finding, reason),) = found.suppressed
    assert finding.label == "memory.uninitialised" and reason == "the test wants it so"


def test_comments_of_checks_that_did_not_run_are_not_judged():
    assert check(half_loaded, ignore=["memory.clobber"])(SHAPE) == []
    assert check(half_loaded, only=["memory.uninitialised", "suppressions"])(SHAPE) == []
    assert check(half_loaded, ignore=["suppressions"])(SHAPE) == []


def stops(x):
    tile = nl.load(x)  # opentrn: ignore[memory.clobber] the run ends before this can be judged
    nisa.nc_matmul(dst=tile, stationary=tile, moving=tile)
    return x


def test_comments_of_a_run_that_ended_early_are_not_judged():
    assert labels(check(stops)(ShapeDtype((128, 128), "float32"))) == ["rules.nc_matmul.dst.memory"]


def elsewhere(x):
    if x.shape[0] > 128:
        nl.load(x)  # opentrn: ignore[memory.clobber] a line that this run does not reach
    return x


def test_comments_on_lines_that_did_not_run_are_not_judged():
    assert "suppressions.unused" not in labels(check(elsewhere)(SHAPE))


def test_a_check_of_source_and_run_is_judged_when_it_saw_both(tmp_path):

    both = Check("both", "of the test")
    try:
        both.source(lambda source: iter(()))
        path = tmp_path / "f.py"
        path.write_text("a = 1  # opentrn: ignore[both] why\n")
        looks = Looks(Choice(only=("both", "suppressions")))
        looks.add_source(read_source(path))
        assert labels(looks.outcome().findings) == ["suppressions.unused"]
        both.run(lambda evidence: iter(()))
        assert labels(looks.outcome().findings) == []
    finally:
        del CHECKS["both"]


def test_the_summary_counts_what_was_suppressed():
    from opentrn.checks.formats import summary

    looks = Looks(Choice(ignore=("suppressions.unused",)))
    looks.add(evidence_of(simulate(half_loaded), (SHAPE,), {}))
    assert summary(looks.outcome()).startswith("no findings (1 suppressed) in half_loaded(x=float32[128,64]) on trn2 (")
