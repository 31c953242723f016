"""Milliseconds per fp32 training step of PyTorch's DistributedDataParallel over gloo, one line a case as JSON: each
process trains a batch of the case's size on one thread.

usage: torchrun --nproc_per_node N torch_ddp.py .../torch_steps.py [CASE ...]
The models and losses are those of torch_steps.py, of which all but its last loop is read.
"""
import sys
steps_script, wanted = sys.argv[1], sys.argv[2:]
sys.argv = sys.argv[:1]
exec(open(steps_script).read().split("\nfor name, model, loss, steps in cases():")[0])

import os
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

torch.set_num_threads(1)
dist.init_process_group("gloo")
for name, model, loss, steps in cases():
    if wanted and name not in wanted:
        continue
    if dist.get_world_size() > 1:
        model = DistributedDataParallel(model)
    optimizer, times = torch.optim.SGD(model.parameters(), lr=1e-3), []
    dist.barrier()
    for step in range(3 * steps + 2):
        start = time.perf_counter()
        optimizer.zero_grad(); loss(model).backward(); optimizer.step()
        if step >= 2:
            times.append((time.perf_counter() - start) * 1e3)
    times.sort()
    if dist.get_rank() == 0:
        print(json.dumps({"case": name, "ranks": dist.get_world_size(), "median_ms": round(times[len(times) // 2], 3)}), flush=True)
dist.destroy_process_group()
