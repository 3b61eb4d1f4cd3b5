"""SSCD, in its two forms: ONNX on a CPU, and TorchScript on a GPU or a CPU."""
