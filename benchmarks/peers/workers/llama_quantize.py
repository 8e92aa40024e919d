"""Quantize a GGUF file anew with llama.cpp's own tool: python llama_quantize.py SOURCE TARGET FTYPE THREADS."""

import ctypes
import sys

import llama_cpp

source, target, kind, threads = sys.argv[1:]
options = llama_cpp.llama_model_quantize_default_params()
options.ftype = getattr(llama_cpp, f"LLAMA_FTYPE_MOSTLY_{kind}")
options.allow_requantize = True
options.nthread = int(threads)
llama_cpp.llama_backend_init()
if llama_cpp.llama_model_quantize(source.encode(), target.encode(), ctypes.byref(options)) != 0:
    sys.exit(f"llama.cpp could not quantize {source} to {kind}")
