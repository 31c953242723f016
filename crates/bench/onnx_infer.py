"""Milliseconds per fp32 prediction of ONNX Runtime or OpenVINO on what torch_export.py wrote, as a line of JSON.

usage: python -c "$(cat infer.py onnx_infer.py)" onnxruntime|openvino FOLDER CASE
needs: pip install numpy and the engine; PyTorch is not loaded, so that the memory is the engine's
"""
import os, sys
import numpy

peer, folder, name = sys.argv[1:]
threads = int(os.environ["OMP_NUM_THREADS"])
path, x = f"{folder}/{name}.onnx", numpy.load(f"{folder}/{name}.npy")
if peer == "onnxruntime":
    import onnxruntime
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    predict = lambda: session.run(None, {"x": x})[0]
else:
    import openvino
    settings = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
    request = openvino.Core().compile_model(path, "CPU", settings).create_infer_request()
    predict = lambda: request.infer({0: x}, share_inputs=True, share_outputs=True)[0]
expected = numpy.load(f"{folder}/{name}.out.npy")
error = numpy.abs(predict() - expected).max()
if not error <= 1e-3 * numpy.abs(expected).max():
    raise SystemExit(f"{name}: expected PyTorch's answers, found some that are {error} from them")
measure(name, threads, predict)
