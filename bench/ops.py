"""PyTorch twin of `nasp bench ops`: each operation at the shapes of the search, same flags, one JSON object a line.

pass      forward    training mode, keeping what backward needs
          probe      <dy, op(x)> without keeping anything
          backward   data and weight gradients
          both       forward, then backward
share     of the machine's bound: the larger of FLOPs / peak and compulsory bytes / bandwidth, over the time; here the
          peak is that of a 2048 x 2048 matrix product and the bandwidth that of a copy, both measured by PyTorch.
Run with the allocator tuned:
  GLIBC_TUNABLES=glibc.malloc.hugetlb=1:glibc.malloc.mmap_threshold=33554432:glibc.malloc.trim_threshold=17179869184:glibc.malloc.top_pad=268435456 python bench/ops.py --json
"""

import argparse
import json
import statistics

import torch

from nasp_torch import OPERATIONS, choose_device, clock, machine

SHAPES = [(16, 32), (32, 16), (64, 8)]  # channels, size
PASSES = ["forward", "probe", "backward", "both"]
WORK = {"forward": 1, "probe": 1, "backward": 2, "both": 3}  # times the multiply-adds of a forward


def multiply_adds(module, x):
    """Of the whole batch: every convolution's weights times its output's pixels; pools have none."""
    total, handles = 0, []

    def count(conv, _, y):
        nonlocal total
        total += conv.weight.numel() * y.shape[0] * y.shape[2] * y.shape[3]  # weight: (O, I / groups, kh, kw)

    for part in module.modules():
        if isinstance(part, torch.nn.Conv2d):
            handles.append(part.register_forward_hook(count))
    with torch.no_grad():
        module(x)
    for handle in handles:
        handle.remove()
    return total


def compulsory_bytes(which, x, y):
    """x and y (or dy) once a forward or probe; x, y, dy and dx once a backward."""
    forward = x.numel() + y.numel()
    return 4 * {"forward": forward, "probe": forward, "backward": 2 * forward, "both": 3 * forward}[which]


def best(run, repeats):
    times = []
    for _ in range(repeats):
        start = clock()
        run()
        times.append(clock() - start)
    return min(times)


def bounds():
    a, b = torch.randn(2048, 2048), torch.randn(2048, 2048)
    source, target = torch.randn(1 << 25), torch.empty(1 << 25)
    return 2 * 2048**3 / best(lambda: a @ b, 5) / 1e9, 8 * (1 << 25) / best(lambda: target.copy_(source), 5) / 1e9


def run_pass(which, module, x, dy):
    """Seconds of one run of the pass; what comes before it is not timed."""
    if which == "probe":
        start = clock()
        with torch.no_grad():
            (dy * module(x.detach())).sum().item()
        return clock() - start
    start = clock()
    y = module(x)
    if which == "forward":
        return clock() - start
    middle = clock()
    torch.autograd.grad(y, [x, *module.parameters()], dy)
    return clock() - (middle if which == "backward" else start)


def rows(args):
    peak, bandwidth = bounds()
    layout = torch.channels_last if args.layout == "channels_last" else torch.contiguous_format
    threads = torch.get_num_threads()
    for op in [args.op] if args.op else OPERATIONS:
        for channels, size in [(args.channels, args.size)] if args.channels and args.size else SHAPES:
            if args.channels not in (0, channels) or args.size not in (0, size):
                continue
            for stride in (1, 2):
                if op == "none" or (op == "skip_connect" and stride == 1):
                    continue
                module = OPERATIONS[op](channels, stride).to(memory_format=layout)
                x = torch.randn(args.batch, channels, size, size).to(memory_format=layout).requires_grad_()
                dy = torch.randn_like(module(x.detach()))
                work = 2 * multiply_adds(module, x.detach())
                for which in PASSES:
                    times = [run_pass(which, module, x, dy) for _ in range(args.warmup + args.repeats)][args.warmup :]
                    seconds, moved = statistics.median(times), compulsory_bytes(which, x, dy)
                    flops = work * WORK[which]
                    bound = max(flops / peak, moved / bandwidth) / 1e9
                    yield {"op": op, "pass": which, "channels": channels, "size": size, "stride": stride,
                           "batch": args.batch, "threads": threads, "ms": seconds * 1e3, "share": bound / seconds,
                           "gflops": flops / seconds / 1e9, "gbps": moved / seconds / 1e9,
                           "min_ms": min(times) * 1e3, "max_ms": max(times) * 1e3}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--layout", choices=["channels_last", "default"], default="channels_last")
    parser.add_argument("--op", choices=OPERATIONS)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--channels", type=int, default=0, help="channels; beside --size any number, 0 = all of the search's shapes")
    parser.add_argument("--size", type=int, default=0, help="side of the maps, as --channels")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--warmup", type=int, default=2)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    choose_device(args.device)
    if args.threads:
        torch.set_num_threads(args.threads)
    where = machine()
    if not args.json:
        print(f"{where['cpu']}, {where['threads']} threads, {where['isa']}, {where['runtime']}")
        print(f"{'op':14} {'pass':8}  C size s {'ms':>8} {'GFLOP/s':>8} {'GB/s':>6} share")
    for row in rows(args):
        if args.json:
            print(json.dumps(row), flush=True)
        else:
            print(f"{row['op']:14} {row['pass']:8} {row['channels']:2} {row['size']:4} {row['stride']} {row['ms']:8.3f} "
                  f"{row['gflops']:8.1f} {row['gbps']:6.1f} {row['share']:5.2f}")


if __name__ == "__main__":
    main()
