"""Runs the code of AWS's page on framework custom operators as it stands: python framework_pages.py CHECKOUT.

CHECKOUT is a clone of github.com/aws-neuron/aws-neuron-sdk. The blocks of nki/guides/framework_custom_op.rst are run in
order, in one namespace for PyTorch and one for JAX, after the kernel file that the page shows. `torch_xla` is opentrn's
stand-in (its device is the CPU), so not even the device line is removed. Prints a line for each block; 1 when one fails.
"""

from __future__ import annotations

import re
import runpy
import sys
import textwrap
import traceback
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

from opentrn.install import install

__all__ = ["blocks", "main"]

PAGE = "nki/guides/framework_custom_op.rst"
KERNELS = "nki/examples/tensor_addition/tensor_addition_nki_kernels.py"


def blocks(text: str) -> list[str]:
    """The literal blocks of a page (after `::`), without their indentation; directives with options are none."""
    found = re.findall(r"^::\n\n((?:[ \t]+\S.*\n|[ \t]*\n)+)", text, re.MULTILINE)
    return [textwrap.dedent(block).strip() + "\n" for block in found]


def main(checkout: Path) -> int:
    """Runs every block; 0 when all ran."""
    install(stand_ins=True)
    kernels = runpy.run_path(str(checkout / KERNELS))
    spaces: dict[bool, dict[str, object]] = {}
    failed = 0
    for number, block in enumerate(blocks((checkout / PAGE).read_text(encoding="utf-8")), 1):
        jax = "jax" in block
        space = spaces.setdefault(jax, {"nki_tensor_add": kernels["nki_tensor_add"]})
        try:
            with redirect_stdout(StringIO()):
                exec(compile(block, f"{PAGE}, block {number}", "exec"), space)
            outcome = "ran"
        except Exception:
            traceback.print_exc()
            outcome, failed = "FAILED", failed + 1
        print(f"block {number} ({'JAX' if jax else 'PyTorch'}, {len(block.splitlines())} lines): {outcome}")
    return 1 if failed else 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(main(Path(sys.argv[1])))
