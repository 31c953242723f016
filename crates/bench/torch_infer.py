"""Milliseconds per fp32 prediction of PyTorch on CPU (eval, inference_mode), as it is or compiled, as a line of JSON.

usage: python -c "$(cat infer.py torch_resnet20.py torch_models.py torch_infer.py)" torch|torch-compiled CASE
needs: pip install torch torchvision; a C++ compiler for the compiled
"""
import sys

peer, name = sys.argv[1:]
model, x = case(name)
with torch.inference_mode():
    model = torch.compile(model) if peer == "torch-compiled" else model
    measure(name, torch.get_num_threads(), lambda: model(x))
