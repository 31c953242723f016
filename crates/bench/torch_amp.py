"""Pictures per second of PyTorch training ResNet-50 and ViT-S/16 at 224 px, fp32 and bf16 by AMP, one line each as JSON.

usage: torch_amp.py [DEVICE] [BATCH] [STEPS]     needs: pip install torch torchvision; cuda, 128 and 50 where absent
Beside it: bonfire train imagenet-resnet50 --device cuda --set train.steps=50 --set train.batch_size=128
[--set train.precision=bf16], which prints samples per second.
"""
import json, sys, time
import torch, torch.nn.functional as F, torchvision

device, batch, steps = (sys.argv[1:] + ["cuda", 128, 50][len(sys.argv) - 1:])[:3]
batch, steps = int(batch), int(steps)
wait = torch.cuda.synchronize if device.startswith("cuda") else (lambda: None)
models = {
    "resnet50": lambda: torchvision.models.resnet50(),
    "vit_s16": lambda: torchvision.models.VisionTransformer(224, 16, 12, 6, 384, 1536),
}
for name, make in models.items():
    for precision in "fp32", "bf16":
        torch.manual_seed(0)
        model = make().to(device)
        optimizer = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9)
        pictures, classes = torch.rand(batch, 3, 224, 224, device=device), torch.arange(batch, device=device) % 1000
        for step in range(steps + 5):
            if step == 5:
                wait(); start = time.perf_counter()
            with torch.autocast(device.split(":")[0], torch.bfloat16, enabled=precision == "bf16"):
                loss = F.cross_entropy(model(pictures), classes)
            optimizer.zero_grad(); loss.backward(); optimizer.step()
        wait()
        rate = batch * steps / (time.perf_counter() - start)
        print(json.dumps({"model": name, "precision": precision, "pictures_per_second": round(rate, 1), "batch": batch, "device": device}), flush=True)
