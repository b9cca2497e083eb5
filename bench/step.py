"""PyTorch twin of `nasp bench step`: one iteration of NASP or DARTS on random data, same flags, same JSON.

--arch says how the architecture step gets dL/dD at the discrete matrix D:
  released   as the released code: every operation runs, backward through everything, weight gradients too
  grad       every operation runs; torch.autograd.grad with respect to D only
  sparse     the exact sparse step: forward along the selected path; backward without weight gradients along it;
             for every other operation <dL/dnode, op(x)> under no_grad
All three give the same gradient; --check shows it in float64 and exits. --dense: released, and the weight step runs and
differentiates every operation too, those that are not selected times 0.

--method darts --order first|second is quark0/darts as released (cnn/architect.py, train_search.py): the mixture is
softmax(alpha), every pass runs and differentiates everything, weight gradients of the architecture pass included; second
order builds a second net for the unrolled step. --check then compares it in float64 with torch.autograd.grad on one net.

Timed as the package is: architecture gradient, Adam (learning rate 0, so that the selection stays) and clip,
then forward and backward of the weight step along the selected path, clipping, SGD. Run with the allocator tuned:
  GLIBC_TUNABLES=glibc.malloc.hugetlb=1:glibc.malloc.mmap_threshold=33554432:glibc.malloc.trim_threshold=17179869184:glibc.malloc.top_pad=268435456 python bench/step.py --json
"""

import argparse
import json
import statistics
import sys

import torch
from torch.nn import functional as F

from nasp_torch import (EDGES, NODES, SPACES, Supernet, choose_device, clock, discretise, machine, mix, peak_bytes,
                        read_selection, write_selection)


class Selected:
    """Edge sums along the selected path only (D is one-hot with value 1)."""

    def __init__(self, D):
        self.rows = [[row.nonzero().flatten().tolist() for row in matrix] for matrix in D]

    def __call__(self, cell, row, x):
        chosen = self.rows[cell.reduction][row]
        return cell._ops[row]._ops[chosen[0]](x) if chosen else None


class Weighted:
    """Edge sums over every operation, each times its entry of D, as the released code's architecture step."""

    def __init__(self, D):
        self.D = D

    def __call__(self, cell, row, x):
        weights = self.D[cell.reduction][row]
        return sum(w * op(x) for w, op in zip(weights, cell._ops[row]._ops))


def arch_released(net, D, x, y):
    D = [matrix.clone().requires_grad_() for matrix in D]
    start = clock()
    loss = F.cross_entropy(net(x, Weighted(D))[0], y)
    middle = clock()
    net.zero_grad()
    loss.backward()
    return [matrix.grad for matrix in D], middle - start, clock() - middle


def arch_grad(net, D, x, y):
    D = [matrix.clone().requires_grad_() for matrix in D]
    start = clock()
    loss = F.cross_entropy(net(x, Weighted(D))[0], y)
    middle = clock()
    return list(torch.autograd.grad(loss, D)), middle - start, clock() - middle


def arch_sparse(net, D, x, y):
    selected, outputs = Selected(D), {}

    def edge_sum(cell, row, state):
        z = selected(cell, row, state)
        outputs[cell, row] = z
        return z

    net.requires_grad_(False)
    start = clock()
    # No weight asks for a gradient; the nodes that depend on no other node become the leaves.
    logits, states = net(x, edge_sum, lambda s: s if s.requires_grad else s.requires_grad_())
    loss = F.cross_entropy(logits, y)
    middle = clock()
    nodes = [s for cell_states in states for s in cell_states[2:]]
    gradients = torch.autograd.grad(loss, nodes)
    result = [torch.zeros_like(matrix) for matrix in D]
    with torch.no_grad():
        for i, cell in enumerate(net.cells):
            for row, (node, j) in enumerate(EDGES):
                g, chosen = gradients[NODES * i + node], selected.rows[cell.reduction][row]
                for k, op in enumerate(cell._ops[row]._ops):
                    z = outputs[cell, row] if k in chosen else op(states[i][j])
                    result[cell.reduction][row, k] += (g * z).sum()
    end = clock()
    net.requires_grad_(True)
    return result, middle - start, end - middle


ARCH = {"released": arch_released, "grad": arch_grad, "sparse": arch_sparse}


class Softmax:
    """Edge sums over every operation, weighted by softmax(alpha)."""

    def __init__(self, alpha):
        self.P = [matrix.softmax(-1) for matrix in alpha]

    def __call__(self, cell, row, x):
        return sum(w * op(x) for w, op in zip(self.P[cell.reduction][row], cell._ops[row]._ops))


def loss_of(net, alpha, batch):
    return F.cross_entropy(net(batch[0], Softmax(alpha))[0], batch[1])


def darts_first(net, alpha, optimizers, validation, training, args):
    for matrix in alpha:
        matrix.grad = None
    start = clock()
    loss = loss_of(net, alpha, validation)
    middle = clock()
    loss.backward()
    return middle - start, clock() - middle


def darts_second(net, alpha, optimizers, validation, training, args):
    """Forward and backward seconds of all its passes; alpha.grad is the unrolled gradient."""
    group = optimizers["weights"].param_groups[0]
    lr, momentum, decay = group["lr"], group["momentum"], group["weight_decay"]
    parameters, seconds = list(net.parameters()), [0.0, 0.0]

    def passes(net, wanted, batch):
        start = clock()
        loss = loss_of(net, alpha, batch)
        middle = clock()
        gradients = torch.autograd.grad(loss, wanted)
        seconds[0] += middle - start
        seconds[1] += clock() - middle
        return gradients

    gradients = passes(net, parameters, training)
    state = optimizers["weights"].state
    unrolled = Supernet(args.space, args.channels, args.layers).to(parameters[0].dtype)
    if args.layout == "channels_last":
        unrolled = unrolled.to(memory_format=torch.channels_last)
    unrolled.load_state_dict(net.state_dict())
    with torch.no_grad():
        for p, w, g in zip(unrolled.parameters(), parameters, gradients):
            buffer = state[w].get("momentum_buffer") if w in state else None
            p.copy_(w - lr * ((0 if buffer is None else momentum * buffer) + g + decay * w))
    both = passes(unrolled, list(alpha) + list(unrolled.parameters()), validation)
    by_alpha, v = both[: len(alpha)], both[len(alpha) :]
    radius = 0.01 / torch.cat([g.flatten() for g in v]).norm()
    sides = []
    for factor in (radius, -2 * radius):
        with torch.no_grad():
            for p, d in zip(parameters, v):
                p.add_(d, alpha=factor.item())
        sides.append(passes(net, list(alpha), training))
    with torch.no_grad():
        for p, d in zip(parameters, v):
            p.add_(d, alpha=radius.item())
    for matrix, g, above, below in zip(alpha, by_alpha, *sides):
        matrix.grad = g - lr * (above - below) / (2 * radius)
    return tuple(seconds)


DARTS = {"first": darts_first, "second": darts_second}


def darts_iteration(net, alpha, optimizers, args, validation, training):
    """One iteration of quark0/darts; returns its seconds by phase."""
    start = clock()
    optimizers["alpha"].zero_grad()
    alpha_forward, alpha_backward = DARTS[args.order](net, alpha, optimizers, validation, training, args)
    optimizers["alpha"].step()
    middle = clock()
    optimizers["weights"].zero_grad()
    forward = clock()
    loss = loss_of(net, alpha, training)
    backward = clock()
    loss.backward()
    weight_backward = clock() - backward
    torch.nn.utils.clip_grad_norm_(net.parameters(), 5)
    optimizers["weights"].step()
    end = clock()
    return {"total": end - start, "alpha": middle - start, "alpha_forward": alpha_forward,
            "alpha_backward": alpha_backward, "weight": end - middle, "weight_forward": backward - forward,
            "weight_backward": weight_backward}


def random_batch(args, dtype):
    x = torch.randn(args.batch, 3, args.size, args.size, dtype=dtype)
    if args.layout == "channels_last":
        x = x.to(memory_format=torch.channels_last)
    return x, torch.randint(10, (args.batch,))


def build(args, dtype):
    torch.manual_seed(args.seed)
    net = Supernet(args.space, args.channels, args.layers).to(dtype)
    if args.layout == "channels_last":
        net = net.to(memory_format=torch.channels_last)
    alpha = [matrix.to(dtype) for matrix in read_selection(args.selection, args.space, args.seed)]
    return net, alpha


def iteration(net, alpha, optimizers, arch, validation, training, dense):
    """One iteration of the released protocol; returns its seconds by phase."""
    start = clock()
    D = [discretise(matrix.detach()) for matrix in alpha]
    gradients, alpha_forward, alpha_backward = arch(net, D, *validation)
    for matrix, gradient in zip(alpha, gradients):
        matrix.grad = gradient
    optimizers["alpha"].step()
    with torch.no_grad():
        for matrix in alpha:
            matrix.clamp_(0, 1)
    middle = clock()
    optimizers["weights"].zero_grad()
    selected = (Weighted if dense else Selected)([discretise(matrix.detach()) for matrix in alpha])
    forward = clock()
    loss = F.cross_entropy(net(training[0], selected)[0], training[1])
    backward = clock()
    loss.backward()
    weight_backward = clock() - backward
    torch.nn.utils.clip_grad_norm_(net.parameters(), 5)
    optimizers["weights"].step()
    end = clock()
    return {"total": end - start, "alpha": middle - start, "alpha_forward": alpha_forward,
            "alpha_backward": alpha_backward, "weight": end - middle, "weight_forward": backward - forward,
            "weight_backward": weight_backward}


def bench(args):
    net, alpha = build(args, torch.float32)
    if args.method == "darts":
        alpha = [1e-3 * torch.randn_like(matrix) for matrix in alpha]
    alpha = [matrix.clone().requires_grad_() for matrix in alpha]
    optimizers = {
        "alpha": torch.optim.Adam(alpha, lr=0.0, betas=(0.5, 0.999), weight_decay=1e-3),
        "weights": torch.optim.SGD(net.parameters(), lr=0.025, momentum=0.9, weight_decay=3e-4),
    }
    batches = [random_batch(args, torch.float32) for _ in range(2)]

    def once():
        if args.method == "darts":
            return darts_iteration(net, alpha, optimizers, args, *batches)
        return iteration(net, alpha, optimizers, ARCH[args.arch], *batches, args.dense)

    runs = [once() for _ in range(args.warmup + args.repeats)]
    runs = runs[args.warmup :]
    seconds = {phase: statistics.median(run[phase] for run in runs) for phase in runs[0]}
    spread = {phase: [min(run[phase] for run in runs), max(run[phase] for run in runs)] for phase in runs[0]}
    D, names = [discretise(matrix.detach()) for matrix in alpha], SPACES[args.space]
    where = machine()
    return {"bench": "step", "engine": "torch", "method": args.method,
            "options": {"order": args.order} if args.method == "darts" else {}, "arch": args.arch, "layout": args.layout,
            "seconds": seconds, "spread": spread, "peak_bytes": peak_bytes(), "activation_bytes": None,
            "selection": {"normal": mix(D[0], names[0]), "reduce": mix(D[1], names[1])},
            "space": args.space, "batch": args.batch, "channels": args.channels, "layers": args.layers,
            "size": args.size, "dense": args.dense, "threads": where["threads"], "isa": where["isa"], "repeats": args.repeats,
            "machine": where}


def check_darts(args):
    """The released procedure's gradient and one net's, in float64; weights are as before up to rounding."""
    net, alpha = build(args, torch.float64)
    alpha = [matrix.clone().requires_grad_() for matrix in alpha]
    optimizers = {"weights": torch.optim.SGD(net.parameters(), lr=0.025, momentum=0.9, weight_decay=3e-4)}
    validation, training = [random_batch(args, torch.float64) for _ in range(2)]
    start = [p.detach().clone() for p in net.parameters()]
    DARTS[args.order](net, alpha, optimizers, validation, training, args)
    found = torch.cat([matrix.grad.flatten() for matrix in alpha])
    moved = max((p - w).abs().max().item() for p, w in zip(net.parameters(), start))

    def at(direction, factor, wanted, batch):
        with torch.no_grad():
            for p, w, d in zip(net.parameters(), start, direction):
                p.copy_(w + factor * d)
        return torch.autograd.grad(loss_of(net, alpha, batch), wanted)

    still, weights = [torch.zeros_like(w) for w in start], list(net.parameters())
    if args.order == "first":
        expected = at(still, 0, alpha, validation)
    else:
        step = [g + 3e-4 * w for g, w in zip(at(still, 0, weights, training), start)]
        both = at(step, -0.025, alpha + weights, validation)
        by_alpha, v = both[: len(alpha)], both[len(alpha) :]
        radius = (0.01 / torch.cat([g.flatten() for g in v]).norm()).item()
        sides = [at(v, side * radius, alpha, training) for side in (1, -1)]
        expected = [g - 0.025 * (a - b) / (2 * radius) for g, a, b in zip(by_alpha, *sides)]
    expected = torch.cat([g.flatten() for g in expected])
    error = ((found - expected).abs().max() / expected.abs().max()).item()
    print(f"darts {args.order}: {error:.1e} of the largest entry; weights moved by {moved:.1e}")
    return 0 if error < 1e-8 and moved < 1e-12 else 1


def check(args):
    """The three architecture gradients agree in float64: largest difference over the largest entry."""
    net, alpha = build(args, torch.float64)
    D = [discretise(matrix) for matrix in alpha]
    batch = random_batch(args, torch.float64)
    expected = torch.cat([g.flatten() for g in arch_released(net, D, *batch)[0]])
    worst = 0.0
    for name in ("grad", "sparse"):
        found = torch.cat([g.flatten() for g in ARCH[name](net, D, *batch)[0]])
        error = ((found - expected).abs().max() / expected.abs().max()).item()
        worst = max(worst, error)
        print(f"{name}: {error:.1e} of the largest entry")
    return 0 if worst < 1e-12 else 1


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--method", choices=["nasp", "darts"], default="nasp")
    parser.add_argument("--order", choices=DARTS, default="first", help="of darts")
    parser.add_argument("--arch", choices=ARCH, default="released")
    parser.add_argument("--layout", choices=["channels_last", "default"], default="channels_last")
    parser.add_argument("--space", choices=SPACES, default="nasp12")
    parser.add_argument("--selection", default="random", help="random, or an alpha.safetensors")
    parser.add_argument("--save-selection", metavar="FILE", help="write it as an alpha.safetensors")
    parser.add_argument("--dense", action="store_true", help="run and differentiate every operation in both steps")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--channels", type=int, default=16)
    parser.add_argument("--layers", type=int, default=8)
    parser.add_argument("--size", type=int, default=32)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--warmup", type=int, default=1)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--check", action="store_true", help="compare the architecture gradients and exit")
    args = parser.parse_args()
    if args.dense and (args.method != "nasp" or args.arch != "released"):
        parser.error("--dense is of --method nasp --arch released (darts runs everything anyway)")
    choose_device(args.device)
    if args.save_selection:
        write_selection(args.save_selection, read_selection(args.selection, args.space, args.seed))
    if args.threads:
        torch.set_num_threads(args.threads)
    if args.check:
        sys.exit(check_darts(args) if args.method == "darts" else check(args))
    result = bench(args)
    if args.json:
        print(json.dumps(result))
        return
    print(f"{result['machine']['cpu']}, {result['threads']} threads, {result['isa']}, {result['machine']['runtime']}")
    print(f"selection: {result['selection']}")
    for phase, value in result["seconds"].items():
        low, high = result["spread"][phase]
        print(f"{phase:16} {value:8.3f} s  ({low:.3f} to {high:.3f})")
    print(f"peak {result['peak_bytes'] / 1e9:.2f} GB")


if __name__ == "__main__":
    main()
