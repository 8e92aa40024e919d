"""redvillm.runtime: from a bundle and a video to answers.

Knows numpy, onnxruntime, OpenCV and tokenizers; never torch. The public names are in `redvillm`.
"""
