"""Weights in the forms that peers take, all made from the model's own files, and kept in a folder for the next run. No hub is asked.

Knows files and how to convert them; does not know how engines run them.
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from redvillm.benchmarks.peers.environment import ENVIRONMENTS, Environments, run_tool, site_packages
from redvillm.export.nano import NanoSources
from redvillm.files import atomic_directory, atomic_file, sha256_of

WORKERS = Path(__file__).parent / "workers"
# onnxruntime-genai brings its model builder as scripts beside the package; torch and transformers are those of this environment
_BUILDER = """
import runpy, sys
site = sys.argv.pop(1)
sys.path.append(site)
sys.path.insert(0, site + "/onnxruntime_genai/models")
runpy.run_path(site + "/onnxruntime_genai/models/builder.py", run_name="__main__")
"""
_GENAI_OPTIONS = ("int4_block_size=32", "int4_accuracy_level=4")


class Artifacts:
    """Converted weights below one folder, by the checksum of what they come from. Each is made when it is first asked for."""

    def __init__(self, folder: Path, sources: NanoSources, environments: Environments, *, frames: NDArray[np.uint8], threads: int) -> None:
        """`frames`, uint8 [K, size, size, 3], calibrate what is quantized with samples."""
        self._llm, self._vision = sources.llm, sources.vision
        self._environments = environments
        self._frames = frames
        self._threads = threads
        self._language_folder = folder / f"llm-{sha256_of(sources.llm)[:12]}"
        self._vision_folder = folder / f"vision-{sha256_of(sources.vision)[:12]}"

    def path(self, name: str) -> Path:
        """Return the weights of that name, a file or a folder.

        Raises:
            BackendError: the tool that makes them failed, or its environment cannot be had.
            ExportError: the source cannot be read.
        """
        makers: dict[str, Callable[[], Path]] = {
            "gguf": lambda: self._llm,
            "gguf-q4_0": self._q4_0,
            "huggingface": self._huggingface,
            "genai": self._genai,
            "vision-torch": lambda: self._vision,
            "vision-onnx": self._vision_onnx,
            "vision-int8": self._vision_int8,
        }
        return makers[name]()

    def _q4_0(self) -> Path:
        target = self._language_folder / "q4_0.gguf"
        if not target.exists():
            python = self._environments.python(ENVIRONMENTS["llama"])
            with atomic_file(target) as temporary:
                script = str(WORKERS / "llama_quantize.py")
                command = [str(python), script, str(self._llm), str(temporary), "Q4_0", str(self._threads)]
                run_tool(command, "quantizing the GGUF file to Q4_0 with llama.cpp")
        return target

    def _huggingface(self) -> Path:
        target = self._language_folder / "huggingface"
        if not target.exists():
            from tokenizers import Tokenizer
            from transformers import PreTrainedTokenizerFast

            from redvillm.export.llama import load_llama
            from redvillm.export.tokenizer import read_tokenizer

            model = load_llama(self._llm)
            tokenizer_json, _, stop_ids = read_tokenizer(self._llm)
            model.config.bos_token_id = model.generation_config.bos_token_id = stop_ids[0]
            model.config.eos_token_id = model.generation_config.eos_token_id = stop_ids[-1]
            with atomic_directory(target) as temporary:
                model.save_pretrained(temporary)
                PreTrainedTokenizerFast(tokenizer_object=Tokenizer.from_str(tokenizer_json)).save_pretrained(temporary)
        return target

    def _genai(self) -> Path:
        target = self._language_folder / "genai-int4"
        if not target.exists():
            site = site_packages(self._environments.python(ENVIRONMENTS["genai"]))
            source = self._huggingface()
            with atomic_directory(target) as temporary:
                places = ["-i", str(source), "-o", str(temporary), "-c", str(temporary / "cache")]
                command = [sys.executable, "-c", _BUILDER, str(site), *places, "-p", "int4", "-e", "cpu", "--extra_options", *_GENAI_OPTIONS]
                run_tool(command, "building the int4 model with onnxruntime-genai")
                json.loads((temporary / "genai_config.json").read_text(encoding="utf-8"))  # the builder writes it last
        return target

    def _vision_onnx(self) -> Path:
        target = self._vision_folder / "default.onnx"
        if not target.exists():
            import torch

            from redvillm.export.efficientnet import IMAGE_SIZE, load_efficientnet_lite0

            pixels = torch.zeros(1, IMAGE_SIZE, IMAGE_SIZE, 3, dtype=torch.uint8)
            with atomic_file(target) as temporary:
                torch.onnx.export(load_efficientnet_lite0(self._vision), (pixels,), temporary, external_data=False, verbose=False)
        return target

    def _vision_int8(self) -> Path:
        target = self._vision_folder / "openvino-int8"
        if not target.exists():
            python = self._environments.python(ENVIRONMENTS["openvino"])
            source = self._vision_onnx()
            with atomic_directory(target) as temporary:
                frames = temporary / "calibration.npy"
                np.save(frames, self._frames)
                command = [str(python), str(WORKERS / "openvino_quantize.py"), str(source), str(frames), str(temporary / "model.xml")]
                run_tool(command, "quantizing the vision encoder with nncf")
                frames.unlink()
        return target / "model.xml"
