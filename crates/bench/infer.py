"""The time of a prediction, by the same numbers as infer.rs, as a line of JSON."""
import json, resource, time

WARM_UP, LEAST, MOST, ENOUGH = 3, 10, 100, 1.0


def measure(case, threads, predict):
    times = []
    while len(times) < WARM_UP + LEAST or (time.perf_counter() - began < ENOUGH and len(times) < WARM_UP + MOST):
        if len(times) <= WARM_UP:
            began = time.perf_counter()
        start = time.perf_counter()
        predict()
        times.append((time.perf_counter() - start) * 1e3)
    times = sorted(times[WARM_UP:])
    print(json.dumps({"case": case, "median_ms": round(times[len(times) // 2], 4), "min_ms": round(times[0], 4), "threads": threads,
                      "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024}), flush=True)


