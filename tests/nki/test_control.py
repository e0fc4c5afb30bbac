"""Loops and registers on the device, looking at values, and where a core stands."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.nki.kit import ANCHOR, inside, tile

import opentrn
from opentrn import nki
from opentrn.errors import CapacityError, KernelError, LaunchError, MemoryFault, ViewError
from opentrn.machine.chip import load_chip
from opentrn.nki import isa as nisa
from opentrn.nki import language as nl
from opentrn.nki.compiler.frontend import NKIFrontend, ParserFrontend

X = np.arange(32, dtype=np.float32).reshape(4, 8)
OLD_LOOP = pytest.mark.filterwarnings("ignore:.*deprecated since NKI 0.6.0:DeprecationWarning")


def register(value: int) -> Any:
    return nisa.register_alloc(value)


# ------------------------------------------------------------- registers
def test_registers_hold_moved_loaded_and_stored_values() -> None:
    def body() -> tuple[int, int, list[int]]:
        source = tile(np.int32([[41]]))
        first, second = nisa.register_alloc(), nisa.register_alloc(source)
        nisa.register_load(first, source)
        nisa.register_move(second, first)
        nisa.register_store(source, second)
        negative = nisa.register_alloc(-3)
        wide = nl.ndarray((1, 1), nl.uint8)
        nisa.register_store(wide, negative)
        return first.read(), second.read(), [source.numpy().item(), wide.numpy().item()]

    assert inside(body) == (41, 41, [41, 253])


def test_a_register_without_a_value() -> None:
    with pytest.raises(KernelError, match="before it has a value"):
        inside(lambda: nisa.register_move(nisa.register_alloc(), nisa.register_alloc()))


@pytest.mark.parametrize("value", [1.5, "3", True, 2**33, None])
def test_values_that_no_register_holds(value: Any) -> None:
    with pytest.raises((LaunchError, KernelError)):
        inside(lambda: nisa.register_move(nisa.register_alloc(), value))


def test_operands_of_register_instructions() -> None:
    with pytest.raises(LaunchError, match="exactly one element"):
        inside(lambda: nisa.register_load(nisa.register_alloc(), tile(X)))
    with pytest.raises(LaunchError, match="not a register"):
        inside(lambda: nisa.register_load(5, tile(np.int32([[1]]))))
    with pytest.raises(LaunchError, match="exactly one element"):
        inside(lambda: nisa.register_store(X, nisa.register_alloc(1)))


def test_a_register_reads_what_was_computed() -> None:
    def body() -> int:
        count = tile(np.int32([[4]]))
        nisa.tensor_scalar(dst=count, data=count, op0=nl.multiply, operand0=3)
        return nisa.register_alloc(count).read()

    assert inside(body) == 12


# ------------------------------------------------------------- loops
@OLD_LOOP
@pytest.mark.parametrize(
    ("bounds", "want"), [((3,), [0, 1, 2]), ((1, 4), [1, 2, 3]), ((1, 8, 3), [1, 4, 7]), ((2, 2), [])]
)
def test_dynamic_range(bounds: tuple[int, ...], want: list[int]) -> None:
    def indices(*given: Any) -> list[int]:
        return [i.read() for i in nl.dynamic_range(*given)]

    assert inside(lambda: indices(*bounds)) == want
    with_registers = [register(b) if n < 2 else b for n, b in enumerate(bounds)]
    assert inside(lambda: indices(*with_registers)) == want


def test_dynamic_range_is_deprecated() -> None:
    with pytest.warns(DeprecationWarning, match=r"nl\.fori_loop") as caught:
        inside(lambda: list(nl.dynamic_range(2)))
    assert caught[0].filename == __file__


@OLD_LOOP
def test_the_variable_of_a_dynamic_loop_is_frozen() -> None:
    def body() -> None:
        for i in nl.dynamic_range(3):
            nisa.register_move(i, 0)

    with pytest.raises(KernelError, match="induction variable"):
        inside(body)


def test_fori_loop_over_a_run_time_offset() -> None:
    def body() -> np.ndarray:
        source, total = tile(X), nl.zeros((4, 1), nl.float32)

        def add(i: Any) -> None:
            nisa.tensor_tensor(dst=total, data1=total, data2=source[:, nl.ds(i, 1)], op=nl.add)
            nisa.register_move(i, 99)  # a copy: the loop goes on as it was

        nl.fori_loop(register(1), register(7), add, step=2)
        return total.numpy()

    np.testing.assert_array_equal(inside(body), X[:, 1:7:2].sum(1, keepdims=True))


def test_while_loop_counts_down() -> None:
    def body() -> tuple[int, float]:
        turns, total = [], nl.zeros((1, 1), nl.float32)

        def step(r: Any) -> Any:
            turns.append(r.read())
            nisa.tensor_scalar(dst=total, data=total, op0=nl.add, operand0=1.5)
            return register(r.read() - 1)

        nl.while_loop(register(3), step)
        nl.while_loop(register(0), step)
        return turns, total.numpy().item()

    assert inside(body) == ([3, 2, 1], 4.5)


def test_a_while_statement_over_a_register_is_deprecated_and_works() -> None:
    def body() -> int:
        turns, left = 0, register(3)
        while left:
            turns += 1
            nisa.register_move(left, 3 - turns)
        return turns

    with pytest.warns(DeprecationWarning, match=r"nl\.while_loop"):
        assert inside(body) == 3


@pytest.mark.parametrize("step", [0, -1, 1.5, True])
def test_steps_of_dynamic_loops(step: Any) -> None:
    with pytest.raises(LaunchError, match="positive integer"):
        inside(lambda: nl.fori_loop(0, 3, lambda i: None, step))


def test_bodies_of_dynamic_loops() -> None:
    with pytest.raises(LaunchError, match="fori_loop body"):
        inside(lambda: nl.fori_loop(0, 3, lambda i: i))
    with pytest.raises(LaunchError, match="while_loop body"):
        inside(lambda: nl.while_loop(register(1), lambda r: 0))
    with pytest.raises(LaunchError, match="while_loop init"):
        inside(lambda: nl.while_loop(1, lambda r: r))
    with pytest.raises(LaunchError, match="loop bound"):
        inside(lambda: nl.fori_loop(0, 2.5, lambda i: None))


def test_static_ranges_want_integers() -> None:
    assert list(nl.affine_range(2)) == [0, 1]
    assert list(nl.static_range(1, 7, 3)) == [1, 4]
    with pytest.raises(LaunchError, match="run-time bound"):
        nl.sequential_range(register(3))


def test_no_reorder_refuses_dynamic_loops_until_it_ends() -> None:
    def body() -> None:
        with nl.no_reorder():
            with nl.no_reorder():
                nl.zeros((2, 2), nl.float32)
            for _ in nl.affine_range(2):
                nl.zeros((2, 2), nl.float32)
            with pytest.raises(KernelError, match="no_reorder"):
                nl.fori_loop(0, 2, lambda i: None)
        nl.fori_loop(0, 2, lambda i: None)

    inside(body)


# ------------------------------------------------------------- looking at values
def test_print_format_and_device_print(capsys: pytest.CaptureFixture[str]) -> None:
    def body() -> str:
        x = nl.add(tile(X), 1.0)
        print(x)
        nl.device_print("sum", nl.sum(x, 1))
        one = tile(np.float32([[2.5]]))
        return f"{one:.2f} | {x}"

    text = inside(body)
    shown = capsys.readouterr().out
    assert shown.startswith("NkiTensor[4, 8] float32 sbuf\n[[ 1.  2.")
    assert "sum NkiTensor[4, 1] float32 sbuf\n[[ 36.]" in shown
    assert text.startswith("2.50 | NkiTensor[4, 8]")


def test_unwritten_elements_are_shown_as_such() -> None:
    def body() -> str:
        x = nl.ndarray((1, 3), nl.float32)
        x[0:1, 1:2] = 7.0
        return str(x)

    assert "[[-- 7.0 --]]  (-- was never written)" in inside(body)


def test_device_print_wants_a_string() -> None:
    with pytest.raises(LaunchError, match="prefix"):
        inside(lambda: nl.device_print(tile(X), tile(X)))


def test_values_only_while_the_kernel_runs() -> None:
    escaped = inside(lambda: tile(X))
    with pytest.raises(LaunchError, match="while its kernel runs"):
        escaped.numpy()
    assert repr(escaped) == "NkiTensor[4, 8] float32 sbuf"


def test_setitem_copies_or_fills() -> None:
    def body() -> np.ndarray:
        x = tile(X)
        x[:, 0:2] = 5
        x[:, 2:4] = tile(-X)[:, 2:4]
        x[:, 4:5] = x[:, 7:8]
        return x.numpy()

    want = X.copy()
    want[:, :2], want[:, 2:4], want[:, 4] = 5, -X[:, 2:4], X[:, 7]
    np.testing.assert_array_equal(inside(body), want)
    with pytest.raises(LaunchError, match="a tensor of the kernel, or a number"):
        inside(lambda: tile(X).__setitem__(slice(None), X))


# ------------------------------------------------------------- where a core stands
def test_program_ids() -> None:
    def kernel(x: Any) -> Any:
        out = nl.ndarray((2, 4), nl.float32, nl.shared_hbm)
        facts = (nl.program_id(), nl.program_id(axis=0), nl.num_programs(), nl.program_ndim())
        for n, fact in enumerate(facts):
            out[nl.program_id(), n : n + 1] = fact
        if nl.num_programs() == 1:
            out[1] = 0
        return out

    np.testing.assert_array_equal(nki.simulate(kernel)(X), [[0, 0, 1, 0], [0, 0, 0, 0]])
    np.testing.assert_array_equal(nki.jit(kernel)[2](X), [[0, 0, 2, 1], [1, 1, 2, 1]])


def test_other_axes_do_not_exist() -> None:
    with pytest.raises(LaunchError, match="axis 1"):
        inside(lambda: nl.program_id(1))
    with pytest.raises(LaunchError, match="axis 2"):
        inside(lambda: nl.num_programs((0, 2)))
    assert inside(lambda: (nl.num_programs(None), nl.num_programs((0,)))) == (1, 1)
    with pytest.raises(LaunchError, match="outside a kernel"):
        nl.program_id()


@pytest.mark.parametrize("target", ["trn1", "trn2", "trn3"])
def test_tile_size_is_that_of_the_chip(target: str) -> None:
    names = [n for n in dir(nl.tile_size) if not n.startswith("_")]
    sizes = inside(lambda: {n: getattr(nl.tile_size, n) for n in names}, target)
    facts = load_chip(target)
    assert sizes["pmax"] == 128
    assert sizes["psum_fmax"] == sizes["psum_bank_fmax"] == sizes["gemm_moving_fmax"] == 512
    assert (sizes["psum_bank_fmax_bytes"], sizes["psum_num_banks"]) == (2048, 8)
    assert (sizes["gemm_stationary_fmax"], sizes["bn_stats_fmax"]) == (128, 512)
    assert sizes["sbuf_size_bytes"] == {"trn1": 24, "trn2": 28, "trn3": 32}[target] << 20
    assert sizes["total_available_sbuf_size"] == sizes["sbuf_fmax_bytes"] == 4 * sizes["sbuf_fmax"]
    assert 0 < sizes["sbuf_fmax_bytes"] <= facts.memory.sbuf_bytes_per_partition
    assert (
        inside(lambda: nisa.get_nc_version(), target).name == {"trn1": "gen2", "trn2": "gen3", "trn3": "gen4"}[target]
    )
    assert inside(nisa.get_nc_sub_version, target) == 0


def test_slices_by_start_and_size() -> None:
    def body() -> list[Any]:
        x = tile(X)
        fixed, moving = x[:, nl.ds(2, 3)], x[:, nl.ds(register(2), 3)]
        return [fixed.numpy(), moving.numpy()]

    for got in inside(body):
        np.testing.assert_array_equal(got, X[:, 2:5])
    for start, size in ((6, 3), (2, 0), (2, -1)):
        with pytest.raises(ViewError):
            inside(lambda start=start, size=size: tile(X)[:, nl.ds(start, size)])
    with pytest.raises(KernelError, match="out of bounds"):
        inside(lambda: nl.copy(tile(X)[:, nl.ds(register(6), 3)]).numpy())


# ------------------------------------------------------------- other ways in
def test_the_front_end_runs_a_kernel() -> None:
    def kernel(x: Any, scale: float) -> Any:
        out = nl.ndarray(x.shape, x.dtype, nl.shared_hbm)
        nl.store(out, nl.multiply(nl.load(x), scale * nisa.get_nc_version()))
        return out

    assert issubclass(ParserFrontend, NKIFrontend)
    made = ParserFrontend().compile(kernel, inputs={"x": X, "scale": 2.0}, target="trn3", lnc=1, output_names=["y"])
    np.testing.assert_array_equal(made.outputs, 8 * X)


def test_cpu_simulate_takes_the_chip_from_the_harness(monkeypatch: pytest.MonkeyPatch) -> None:
    def kernel(x: Any) -> Any:
        out = nl.ndarray((1, 2), nl.float32, nl.shared_hbm)
        out[0, 0:1] = float(nisa.get_nc_version())
        out[0, 1:2] = float(nl.num_programs())
        return out

    for version, want in (("gen2", 2), ("gen3", 3), ("gen4", 4)):
        monkeypatch.setenv("NKI_NC_VERSION", version)
        assert nki.cpu_simulate(kernel)(X)[0, 0] == want
    monkeypatch.delenv("NKI_NC_VERSION")
    np.testing.assert_array_equal(nki.cpu_simulate(nki.jit(kernel))[2](x=X), [[3, 2]])


def test_cpu_simulate_reads_unwritten_memory_as_nan_and_says_so() -> None:
    def kernel(x: Any) -> Any:
        half = nl.ndarray(x.shape, nl.float32, nl.sbuf)
        half[0:1] = nl.load(x[0:1])
        out = nl.ndarray(x.shape, nl.float32, nl.shared_hbm)
        nl.store(out, nl.multiply(half, 2.0))
        return out

    x = np.ones((2, 3), np.float32)
    with pytest.warns(UserWarning, match="never written"):
        got = nki.cpu_simulate(kernel)(x)
    np.testing.assert_array_equal(got, [[2, 2, 2], [np.nan] * 3])
    with pytest.raises(MemoryFault):
        nki.simulate(kernel)(x)


def test_cpu_simulate_takes_tensors_that_overflow_sbuf_and_says_so() -> None:
    def kernel(x: Any) -> Any:
        tiles = [nl.full((128, 15000), float(n), nl.float32) for n in range(5)]
        for other in tiles[1:]:
            nisa.tensor_tensor(tiles[0], tiles[0], other, nl.add)
        out = nl.ndarray((128, 1), nl.float32, nl.shared_hbm)
        nl.store(out, tiles[0][:, 0:1])
        return out

    with pytest.warns(UserWarning, match="sbuf is over capacity"):
        assert np.all(nki.cpu_simulate(kernel)(X) == 10)
    report = nki.jit(kernel).report((X,), {}, strict=False, trace=True)
    memory = report.memory[0][nl.sbuf]
    assert memory.peak > memory.capacity and report.traces is not None
    with pytest.raises(CapacityError):
        nki.simulate(kernel)(X)


def test_annotations_of_public_kernels() -> None:
    import opentrn.nki.dtype
    import opentrn.nki.language.dtypes
    import opentrn.nki.typing as nt

    def kernel(
        x: nt.tensor[4, 8], out: nt.mutable_tensor, kind: nki.dtype = nl.bfloat16
    ) -> nl.ndarray | tuple[int, ...]:  # type: ignore
        return ()

    assert nki.dtype.float8_e4m3 == nl.float8_e4m3 == opentrn.nki.language.dtypes.float8_e4m3
    assert issubclass(nt.mutable_tensor[3], nt.tensor)
    assert kernel.__defaults__ == ("bfloat16",)


def test_kernels_keep_their_name_and_signature() -> None:
    def some_kernel(x: Any, y: int = 3) -> Any:
        """Text."""

    made = nki.jit(some_kernel)
    assert (made.__name__, made.__doc__, made.__wrapped__) == ("some_kernel", "Text.", some_kernel)
    assert str(made.__signature__) == "(x: 'Any', y: 'int' = 3) -> 'Any'"
    assert nki.jit(made).func is some_kernel
    assert nki.jit()(some_kernel).func is some_kernel


def test_a_kernel_inside_a_kernel_is_inlined() -> None:
    @nki.jit
    def inner(x: Any) -> Any:
        return nl.add(x, 1.0)

    def outer(x: Any) -> Any:
        out = nl.ndarray(x.shape, x.dtype, nl.shared_hbm)
        nl.store(out, inner(inner(nl.load(x))))
        return out

    np.testing.assert_array_equal(nki.simulate(outer)(X), X + 2)
    assert opentrn.run(outer)(X).instructions["dma_copy"] == 2
    assert ANCHOR.item() == 0
