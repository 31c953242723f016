"""Milliseconds per fp32 training step (zero_grad, forward, backward, SGD) of torchvision's EfficientNet-B0 on CPU, as JSON.

usage: torch_efficientnet.py     needs: pip install torch torchvision
"""
import json, resource, time
import torch, torch.nn.functional as F, torchvision

torch.manual_seed(0)
model, pictures, classes = torchvision.models.efficientnet_b0(), torch.rand(8, 3, 224, 224), torch.arange(8)
optimizer, times = torch.optim.SGD(model.parameters(), lr=1e-3), []
for step in range(7):
    start = time.perf_counter()
    optimizer.zero_grad(); F.cross_entropy(model(pictures), classes).backward(); optimizer.step()
    if step >= 2:
        times.append((time.perf_counter() - start) * 1e3)
times.sort()
print(json.dumps({"case": "efficientnet_b0_b8_224", "median_ms": round(times[len(times) // 2], 3), "min_ms": round(times[0], 3),
                  "threads": torch.get_num_threads(), "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024}), flush=True)
