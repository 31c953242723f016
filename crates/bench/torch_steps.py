"""Milliseconds per fp32 training step (zero_grad, forward, backward, SGD) of PyTorch on CPU, one line a case as JSON: cases
that the usual script lacks.

usage: python -c "$(cat torch_resnet20.py torch_steps.py)" [CASE ...]     needs: pip install torch torchvision
"""
import json, resource, sys, time
import torch, torch.nn.functional as F, torchvision

torch.manual_seed(0)

CASES = {
    "resnet20_b128_28": (resnet20, (128, 1, 28, 28), 10, 15),
    "efficientnet_b0_b8_224": (torchvision.models.efficientnet_b0, (8, 3, 224, 224), 1000, 5),
}

for name, (make, shape, classes, steps) in CASES.items():
    if len(sys.argv) > 1 and name not in sys.argv[1:]:
        continue
    model, pictures, targets, times = make(), torch.rand(shape), torch.arange(shape[0]) % classes, []
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    for step in range(steps + 2):
        start = time.perf_counter()
        optimizer.zero_grad(); F.cross_entropy(model(pictures), targets).backward(); optimizer.step()
        if step >= 2:
            times.append((time.perf_counter() - start) * 1e3)
    times.sort()
    print(json.dumps({"case": name, "median_ms": round(times[len(times) // 2], 3), "min_ms": round(times[0], 3), "threads": torch.get_num_threads(),
                      "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024}), flush=True)
