"""What nvcc makes of the kernels, for every architecture: no spills, no local memory, no atomics, within the limits of a block."""

import os
import re
import subprocess
from pathlib import Path

import pytest
from ptxas_report import Resources, compile_ptx, compile_report, find_nvcc, known_architectures, parse_report, readable, table

ROOT = Path(__file__).parents[2]
REGISTERS_OF_A_BLOCK = 65536
POOL_SHAPES = {"float": ["4, 1, 4", "4, 4, 1", "4, 8, 1", "1, 4, 4", "1, 16, 1"], "half": ["8, 1, 4", "8, 4, 1", "8, 6, 1", "1, 4, 4", "1, 16, 1"]}
POOL_KERNELS = {f"pool_kernel<{shape}, {element}>" for element, shapes in POOL_SHAPES.items() for shape in shapes}
PUSH_KERNELS = {f"push_kernel<{vector}, {element}>" for vector in (1, 4) for element in POOL_SHAPES}
ENTRIES = {f"redvillm_{kind}pool_{element}" for kind in ("", "weighted_") for element in ("float32", "float16")}
MADE_REPORT = """ptxas info    : 0 bytes gmem
ptxas info    : Compiling entry function '_ZN8redvillm4cuda11pool_kernelILi8ELi6ELi1E6__halfEEvNS0_4ClipIT2_EEi' for 'sm_87'
ptxas info    : Function properties for _ZN8redvillm4cuda11pool_kernelILi8ELi6ELi1E6__halfEEvNS0_4ClipIT2_EEi
    24 bytes stack frame, 12 bytes spill stores, 16 bytes spill loads
ptxas info    : Used 128 registers, used 1 barriers, 24 bytes cumulative stack size, 8 bytes smem, 404 bytes cmem[0]
ptxas info    : Compile time = 1.635 ms
ptxas info    : Compiling entry function 'plain' for 'sm_120a'
ptxas info    : Function properties for plain
    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 10 registers, used 0 barriers
"""


@pytest.fixture(scope="module")
def nvcc():
    found = find_nvcc()
    if found is None:
        if os.environ.get("CI"):
            pytest.fail("nvcc is neither on PATH nor in $CUDA_HOME/bin, and CI provides it")
        pytest.skip("needs the CUDA toolkit: nvcc is neither on PATH nor in $CUDA_HOME/bin")
    return found


@pytest.fixture(scope="module")
def report(nvcc):
    return compile_report(nvcc, known_architectures(nvcc))


@pytest.fixture(scope="module")
def ptx(nvcc):
    return {source: compile_ptx(nvcc, source) for source in ("launcher.cu", "aot.cu")}


def test_a_report_is_read():
    assert parse_report(MADE_REPORT) == [Resources("pool_kernel<8, 6, 1, half>", 87, 128, 24, 28, 8), Resources("plain", 120, 10, 0, 0, 0)]
    assert parse_report("ptxas info    : 0 bytes gmem\n") == []


def test_a_report_that_is_cut_short_is_refused():
    with pytest.raises(ValueError, match="not a report"):
        parse_report(MADE_REPORT[: MADE_REPORT.index("Used 10")])


def test_symbols_are_read():
    assert readable("_ZN8redvillm4cuda11push_kernelILi4EfEEvNS0_10WindowPushIT0_EE") == "push_kernel<4, float>"
    assert readable("redvillm_pool_float32") == "redvillm_pool_float32"


def test_spills_show_in_the_table():
    assert "128 (24 stack, 28 spilled, 8 shared)" in table(parse_report(MADE_REPORT))


def test_the_parser_sees_a_real_spill(nvcc, tmp_path):
    """The check below could pass because nothing is ever seen: a kernel that must spill is."""
    source = tmp_path / "spills.cu"
    source.write_text(
        "__global__ void __launch_bounds__(1024, 2) spills(float* x) {\n  float v[64];\n"
        "#pragma unroll\n  for (int i = 0; i < 64; ++i) v[i] = x[i * 64 + threadIdx.x];\n  __syncthreads();\n"
        "#pragma unroll\n  for (int i = 0; i < 64; ++i) x[(63 - i) * 64 + threadIdx.x] = v[i] * v[63 - i];\n}\n",
        encoding="utf-8",
    )
    command = [nvcc, "-cubin", "-arch=sm_90", "-Xptxas", "-v", str(source), "-o", str(tmp_path / "spills.cubin")]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    (resources,) = parse_report(result.stderr)
    assert resources.stack_bytes > 0
    assert resources.spill_bytes > 0


def test_every_kernel_is_compiled_for_every_architecture(nvcc, report):
    architectures = known_architectures(nvcc)
    assert {80, 87, 89, 90} <= set(architectures)
    for architecture in architectures:
        assert {resources.kernel for resources in report if resources.architecture == architecture} == POOL_KERNELS | PUSH_KERNELS | ENTRIES


def test_nothing_spills_and_all_fits_a_block(report):
    for resources in report:
        assert (resources.stack_bytes, resources.spill_bytes, resources.shared_bytes) == (0, 0, 0), resources
        num_threads = 128 if resources.kernel in PUSH_KERNELS else 384
        allocated = -(-resources.registers // 8) * 8 * num_threads  # a warp gets registers in eights
        assert allocated <= REGISTERS_OF_A_BLOCK, resources


def test_two_blocks_of_the_kernel_of_most_clips_fit_a_multiprocessor(report):
    wanted = {"pool_kernel<8, 4, 1, half>", "pool_kernel<4, 4, 1, float>"}
    found = [resources for resources in report if resources.kernel in wanted]
    assert {resources.kernel for resources in found} == wanted
    assert all(-(-resources.registers // 8) * 8 * 384 * 2 <= REGISTERS_OF_A_BLOCK for resources in found)


def test_no_atomics_no_local_memory_no_float64(ptx):
    for text in ptx.values():
        assert re.search(r"\bld\.global(\.nc)?\.v4\.", text)
        assert not re.search(r"\b(atom|red)\.", text)
        assert not re.search(r"\b(ld|st)\.local\b|__local_depot", text)
        assert ".f64" not in text


def test_ahead_of_time_entries_have_the_order_of_parameters_that_tensorrt_fixes(ptx):
    entries = dict(re.findall(r"\.visible \.entry (\w+)\((.*?)\)", ptx["aot.cu"], re.DOTALL))
    assert set(entries) == ENTRIES
    for name, parameters in entries.items():
        inputs = ["u64"] * (2 if "weighted" in name else 1)
        assert re.findall(r"\.param \.(\w+)", parameters) == [*inputs, *["u32"] * 3, *["u64"] * 2]


def test_the_table_of_the_page_is_the_report(nvcc, report):
    version = re.search(r"release ([\d.]+)", subprocess.run([nvcc, "--version"], capture_output=True, text=True, check=True).stdout)
    page = (ROOT / "docs" / "cuda.md").read_text(encoding="utf-8")
    if f"nvcc {version[1]}" not in page:
        pytest.skip(f"the page shows another nvcc than {version[1]}; registers differ between them")
    assert table(report) in page, "run: python tests/support/ptxas_report.py"
