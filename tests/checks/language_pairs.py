"""For every rule that source alone decides: code that breaks it, and code that comes close and does not.

Each text is the body of a kernel ``def kernel(x, flag)``, or, where it has a decorator of its own, a whole file below the
usual imports. PAIRS has (breaks, comes close) by label.
"""

HEAD = "import nki\nimport nki.isa as nisa\nimport nki.language as nl\n"

LANGUAGE = {
    "identity": ("y = 1 if flag is True else 2", "y = 1 if flag == True else 2"),
    "identity_none": ("y = 1 if flag is None else 2", "y = 1 if flag == None else 2"),
    "keyword_only": (
        "@nki.jit\ndef kernel(x, *, flag=True):\n    pass",
        "def host(*, flag=True):\n    pass\n@nki.jit\ndef kernel(x, flag=True):\n    pass",
    ),
    "list_argument": (
        "@nki.jit\ndef kernel(x, steps=[1, 1]):\n    pass",
        "@nki.jit\ndef kernel(x, steps=(1, 1)):\n    helper(x)\ndef helper(x, steps=[1, 1]):\n    pass",
    ),
    "value": ("y = {1, 2}", "y = {'a': 1, 'b': [2]}"),
    "dictionary_keys": ("y = {1: 2}", "y = {'1': 2, **flag}"),
    "base_class": (
        "class Config:\n    pass\n@nki.jit\ndef kernel(x):\n    y = Config()",
        "class Config:\n    pass\nclass Own(nl.NKIObject):\n    pass\n@nki.jit\ndef kernel(x):\n    y = Own()\nhost = Config()",
    ),
    "more_bases": (
        "class Other:\n    pass\nclass Config(nl.NKIObject, Other):\n    pass\n@nki.jit\ndef kernel(x):\n    y = Config()",
        "class Base(nl.NKIObject):\n    pass\nclass Config(Base):\n    pass\n@nki.jit\ndef kernel(x):\n    y = Config()",
    ),
    "global_state": (
        "SEEN = []\n@nki.jit\ndef kernel(x):\n    SEEN.append(1)",
        "SEEN = []\n@nki.jit\ndef kernel(x):\n    SEEN = []\n    SEEN.append(1)\ndef host():\n    SEEN.append(1)",
    ),
    "stale_state": (
        "MODE = 'a'\ndef host():\n    global MODE\n    MODE = 'b'\n@nki.jit\ndef kernel(x):\n    y = MODE",
        "MODE = 'a'\n@nki.jit\ndef kernel(x):\n    y = MODE\ndef host():\n    MODE = 'b'",
    ),
    "impure": (
        "import time\n@nki.jit\ndef kernel(x):\n    y = time.time()",
        "import time\n@nki.jit\ndef kernel(x):\n    y = 1\ndef host():\n    return time.time()",
    ),
    "library": (
        "import torch\n@nki.jit\ndef kernel(x):\n    y = torch.exp(x)",
        "import math\nimport torch\n@nki.jit\ndef kernel(x):\n    y = math.sqrt(2)\ndef host(x):\n    return torch.exp(x)",
    ),
    "undocumented": ("y = [i for i in range(4)]", "y = []\nfor i in range(4):\n    y.append(i)"),
    "device_value": (
        "t = nl.load(x)\nif t[0, 0] > 0:\n    pass",
        "t = nl.load(x)\nif t.shape[0] > 0 and t != None:\n    pass",
    ),
    "register_arithmetic": (
        "for i in nl.dynamic_range(4):\n    y = i * 128",
        "for i in range(4):\n    y = i * 128\nfor j in nl.dynamic_range(4):\n    y = x.ap([[1, 1]], scalar_offset=j)",
    ),
    "loop_variable": (
        "def body(i):\n    nisa.register_move(i, 3)\nnl.fori_loop(0, 4, body)",
        "def body(r):\n    nisa.register_load(r, x)\n    return r\nnl.while_loop(flag, body)",
    ),
    "loop_step": (
        "for i in nl.dynamic_range(0, 4, -1):\n    pass",
        "for i in nl.dynamic_range(0, 4, 2):\n    pass",
    ),
    "loop_body": (
        "def body(i):\n    return i\nnl.fori_loop(0, 4, body)",
        "def body(r):\n    return r\nnl.while_loop(flag, body)",
    ),
    "loop_state": (
        "n = 0\ndef body(i):\n    nonlocal n\n    n = 1\nnl.fori_loop(0, 4, body)",
        "n = 0\ndef body(i):\n    n = 1\nnl.fori_loop(0, 4, body)",
    ),
    "no_reorder": (
        "with nl.no_reorder():\n    for i in nl.dynamic_range(4):\n        pass",
        "for i in nl.dynamic_range(4):\n    with nl.no_reorder():\n        pass",
    ),
}

VERSIONS = {
    "namespace": ("import neuronxcc.nki as old", "# needs NKI 0.1\nimport neuronxcc.nki as old"),
    "removed": ("nisa.tensor_copy_dynamic_src(x, x)", "# needs NKI < 0.4\nnisa.tensor_copy_dynamic_src(x, x)"),
    "newer": ("# needs NKI >= 0.5\nnl.fori_loop(0, 4, flag)", "# needs NKI >= 0.6\nnl.fori_loop(0, 4, flag)"),
    "unknown": ("y = nl.sqrtt(x)", "y = nl.sqrt(x)"),
    "undocumented": ("y = nl.zzzz(x)", "y = nl.tile_size.pmax"),
    "deprecated": (
        "for i in nl.dynamic_range(4):\n    pass",
        "# needs NKI < 0.6\nfor i in nl.dynamic_range(4):\n    pass",
    ),
    "discouraged": ("for i in nl.affine_range(4):\n    pass", "for i in range(4):\n    pass"),
    "older": ("nisa.tensor_copy(dst=x, src=x, dtype=nl.float32)", "nl.load(x, dtype=nl.float32)"),
}

COMPILER = {
    "string_buffer": (
        "y = nl.ndarray((128, 1), nl.float32, buffer='sbuf')",
        "y = nl.ndarray((128, 1), nl.float32, name='sbuf')",
    ),
    "integer_enum": (
        "nisa.dma_copy(dst=x, src=x, dge_mode=2)",
        "nisa.dma_copy(dst=x, src=x, dge_mode=nisa.dge_mode.swdge)",
    ),
    "output_buffer": (
        "out = nl.ndarray(x.shape, x.dtype, buffer=nl.hbm)\nreturn out",
        "scratch = nl.ndarray(x.shape, x.dtype, buffer=nl.hbm)\nout = nl.ndarray(x.shape, x.dtype, nl.shared_hbm)\nreturn out",
    ),
    "simulation_only": ("y = nl.divide(x, x)", "y = nl.multiply(x, nl.reciprocal(x))"),
    "power_of_scalar": ("y = nl.power(x, 2)", "y = nl.power(x, x)"),
    "matmul_transpose": ("y = nl.matmul(x, x)", "y = nl.matmul(x, x, transpose_x=True)"),
    "scalar_seed": ("nl.random_seed(3)", "nl.random_seed(x)"),
    "nested_loops": (
        "# needs NKI 0.4\nfor i in nl.dynamic_range(4):\n    for j in nl.dynamic_range(4):\n        pass",
        "# needs NKI 0.4\nfor i in range(4):\n    for j in nl.dynamic_range(4):\n        pass",
    ),
}

PAIRS = {
    f"{check}.{rule}": pair
    for check, rules in (("language", LANGUAGE), ("versions", VERSIONS), ("compiler", COMPILER))
    for rule, pair in rules.items()
}
RUN = {
    "language": {"kernel", "dtype", "call", "unsupported", "validation", "raised"},
    "compiler": {"float8_target", "integer_reduction"},
}
"""Rules that only a run decides: test_language.py has their kernels."""


def file_of(text: str) -> str:
    """The file that a text of PAIRS stands for."""
    if "@nki.jit" in text or text.endswith("as old"):
        return HEAD + text + "\n"
    body = "\n".join("    " + line for line in text.splitlines())
    return f"{HEAD}@nki.jit\ndef kernel(x, flag):\n{body}\n"
