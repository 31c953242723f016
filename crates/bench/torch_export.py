"""Writes a case for other engines: FOLDER/CASE.onnx, FOLDER/CASE.npy its input and FOLDER/CASE.out.npy PyTorch's answer.

usage: python -c "$(cat torch_resnet20.py torch_models.py torch_export.py)" FOLDER CASE
needs: pip install torch torchvision onnx onnxscript
"""
import logging, sys, warnings
import numpy

warnings.filterwarnings("ignore")
logging.disable(logging.WARNING)
folder, name = sys.argv[1:]
model, x = case(name)
torch.onnx.export(model, (x,), f"{folder}/{name}.onnx", dynamo=True, optimize=True, verbose=False, input_names=["x"], external_data=False)
with torch.inference_mode():
    numpy.save(f"{folder}/{name}.out.npy", model(x).numpy())
numpy.save(f"{folder}/{name}.npy", x.numpy())
