"""Quantize an encoder to int8 with nncf, its defaults: python openvino_quantize.py MODEL.onnx FRAMES.npy TARGET.xml."""

import sys

import nncf
import numpy as np
import openvino

source, frames, target = sys.argv[1:]
calibration = np.load(frames, allow_pickle=False)
model = openvino.Core().read_model(source)
quantized = nncf.quantize(model, nncf.Dataset([frame[None] for frame in calibration]), subset_size=len(calibration))
openvino.save_model(quantized, target, compress_to_fp16=False)
