"""PyTorch side of the benches: the candidate operations, the supernet and the discrete matrix, as in
quark0/darts (cnn/operations.py, cnn/model_search.py) with the spaces of xujinfan/NASP-codes. Parameter names are
those of the released codes. Only what step.py and ops.py time; nothing of the package uses it.
"""

import json
import platform
import time
import resource
import struct

import torch
from torch import nn

NODES = 4
EDGES = [(node, j) for node in range(NODES) for j in range(2 + node)]  # 14 rows, by node, then by input

_nasp12_normal = ["skip_connect", "conv_3x1_1x3", "dil_conv_3x3", "conv_1x1", "conv_3x3",
                  "sep_conv_3x3", "sep_conv_5x5", "sep_conv_7x7"]
_nasp12_reduce = ["skip_connect", "avg_pool_3x3", "max_pool_3x3", "max_pool_5x5", "max_pool_7x7"]
_nasp12_all = _nasp12_normal[:3] + _nasp12_reduce[1:] + _nasp12_normal[3:]
_darts = ["none", "max_pool_3x3", "avg_pool_3x3", "skip_connect", "sep_conv_3x3", "sep_conv_5x5",
          "dil_conv_3x3", "dil_conv_5x5"]
SPACES = {
    "nasp12": (_nasp12_normal, _nasp12_reduce),
    "nasp12-all": (_nasp12_all, _nasp12_all),
    "darts7": (_darts[1:], _darts[1:]),
    "darts7-split": (["skip_connect", "sep_conv_3x3", "sep_conv_5x5", "dil_conv_3x3", "dil_conv_5x5"],
                     ["skip_connect", "max_pool_3x3", "avg_pool_3x3"]),
    "darts": (_darts, _darts),
}


def norm(C, affine=False):
    return nn.BatchNorm2d(C, affine=affine)


def conv(C_in, C_out, kernel, stride=1, padding=0, dilation=1, groups=1):
    return nn.Conv2d(C_in, C_out, kernel, stride, padding, dilation, groups, bias=False)


class Chain(nn.Module):
    """A sequence under the name `op`, as ReLUConvBN, DilConv and SepConv are in quark0/darts."""

    def __init__(self, *layers):
        super().__init__()
        self.op = nn.Sequential(*layers)

    def forward(self, x):
        return self.op(x)


class Zero(nn.Module):
    def __init__(self, stride):
        super().__init__()
        self.stride = stride

    def forward(self, x):
        return x[:, :, :: self.stride, :: self.stride].mul(0.0)


class FactorizedReduce(nn.Module):
    def __init__(self, C_in, C_out):
        super().__init__()
        self.conv_1 = conv(C_in, C_out // 2, 1, 2)
        self.conv_2 = conv(C_in, C_out // 2, 1, 2)
        self.bn = norm(C_out)

    def forward(self, x):
        x = torch.relu(x)
        return self.bn(torch.cat([self.conv_1(x), self.conv_2(x[:, :, 1:, 1:])], dim=1))


def relu_conv_norm(C_in, C_out, kernel, stride=1, padding=0):
    return Chain(nn.ReLU(), conv(C_in, C_out, kernel, stride, padding), norm(C_out))


def separable(C, k, stride):
    p = k // 2
    return Chain(nn.ReLU(), conv(C, C, k, stride, p, groups=C), conv(C, C, 1), norm(C),
                 nn.ReLU(), conv(C, C, k, 1, p, groups=C), conv(C, C, 1), norm(C))


def dilated(C, k, stride):
    return Chain(nn.ReLU(), conv(C, C, k, stride, k - 1, dilation=2, groups=C), conv(C, C, 1), norm(C))


def pair(C, k, stride):
    p = k // 2
    return nn.Sequential(nn.ReLU(), conv(C, C, (1, k), (1, stride), (0, p)),
                         conv(C, C, (k, 1), (stride, 1), (p, 0)), norm(C))


def max_pool(C, k, stride):
    return nn.Sequential(nn.MaxPool2d(k, stride, k // 2), norm(C))


OPERATIONS = {
    "none": lambda C, s: Zero(s),
    "skip_connect": lambda C, s: nn.Identity() if s == 1 else FactorizedReduce(C, C),
    "avg_pool_3x3": lambda C, s: nn.Sequential(nn.AvgPool2d(3, s, 1, count_include_pad=False), norm(C)),
    "max_pool_3x3": lambda C, s: max_pool(C, 3, s),
    "max_pool_5x5": lambda C, s: max_pool(C, 5, s),
    "max_pool_7x7": lambda C, s: max_pool(C, 7, s),
    "conv_1x1": lambda C, s: relu_conv_norm(C, C, 1, s),
    "conv_3x3": lambda C, s: relu_conv_norm(C, C, 3, s, 1),
    "conv_3x1_1x3": lambda C, s: pair(C, 3, s),
    "conv_7x1_1x7": lambda C, s: pair(C, 7, s),
    "sep_conv_3x3": lambda C, s: separable(C, 3, s),
    "sep_conv_5x5": lambda C, s: separable(C, 5, s),
    "sep_conv_7x7": lambda C, s: separable(C, 7, s),
    "dil_conv_3x3": lambda C, s: dilated(C, 3, s),
    "dil_conv_5x5": lambda C, s: dilated(C, 5, s),
}


class MixedOp(nn.Module):
    def __init__(self, names, C, stride):
        super().__init__()
        self._ops = nn.ModuleList(OPERATIONS[name](C, stride) for name in names)


class Cell(nn.Module):
    def __init__(self, names, C_prev_prev, C_prev, C, reduction, reduction_prev):
        super().__init__()
        self.reduction = reduction
        self.preprocess0 = (FactorizedReduce(C_prev_prev, C) if reduction_prev
                            else relu_conv_norm(C_prev_prev, C, 1))
        self.preprocess1 = relu_conv_norm(C_prev, C, 1)
        self._ops = nn.ModuleList(MixedOp(names, C, 2 if reduction and j < 2 else 1) for _, j in EDGES)

    def forward(self, s0, s1, edge_sum, on_node):
        """`edge_sum(cell, row, x)` is the edge's contribution to its node, or None; `on_node` sees every sum."""
        states = [self.preprocess0(s0), self.preprocess1(s1)]
        for node in range(NODES):
            terms = [edge_sum(self, row, states[j]) for row, (n, j) in enumerate(EDGES) if n == node]
            terms = [term for term in terms if term is not None]
            states.append(on_node(sum(terms[1:], terms[0])))
        return states


class Supernet(nn.Module):
    def __init__(self, space, C=16, layers=8, classes=10):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 3 * C, 3, padding=1, bias=False), nn.BatchNorm2d(3 * C))
        C_prev_prev, C_prev, C_cell, reduction_prev = 3 * C, 3 * C, C, False
        self.cells = nn.ModuleList()
        for i in range(layers):
            reduction = i in (layers // 3, 2 * layers // 3)
            if reduction:
                C_cell *= 2
            names = SPACES[space][1 if reduction else 0]
            self.cells.append(Cell(names, C_prev_prev, C_prev, C_cell, reduction, reduction_prev))
            C_prev_prev, C_prev, reduction_prev = C_prev, NODES * C_cell, reduction
        self.classifier = nn.Linear(C_prev, classes)

    def forward(self, x, edge_sum, on_node=lambda s: s):
        """Logits, and every cell's states (two inputs, four nodes)."""
        s0 = s1 = self.stem(x)
        states = []
        for cell in self.cells:
            states.append(cell(s0, s1, edge_sum, on_node))
            s0, s1 = s1, torch.cat(states[-1][2:], dim=1)
        return self.classifier(s1.mean((2, 3))), states


def discretise(alpha):
    """One-hot at the row's first maximum; the two rows of a node with the largest maxima are kept."""
    D = torch.zeros_like(alpha)
    best = alpha.max(1).values.tolist()
    for node in range(NODES):
        rows = [r for r, (n, _) in enumerate(EDGES) if n == node]
        for r in sorted(rows, key=lambda r: -best[r])[:2]:  # stable: ties to the first row
            D[r, int(alpha[r].argmax())] = 1
    return D


def random_alpha(space, seed):
    """The same matrices as `nasp bench step --selection random --seed N` (src/bench/selection.ts: mulberry32)."""
    state, mask = seed & 0xFFFFFFFF, 0xFFFFFFFF

    def draw():
        nonlocal state
        state = (state + 0x6D2B79F5) & mask
        t = ((state ^ (state >> 15)) * (state | 1)) & mask
        t ^= (t + ((t ^ (t >> 7)) * (t | 61))) & mask
        return (t ^ (t >> 14)) / 4294967296

    matrices = []
    for names in SPACES[space]:
        alpha = torch.full((len(EDGES), len(names)), 0.5)
        for row in alpha:
            k = int(draw() * len(names))
            row[k] = 0.6 + 0.1 * draw()
        matrices.append(alpha)
    return matrices


def read_safetensors(path):
    """Float tensors of a safetensors file: 8 bytes length, JSON header, data."""
    with open(path, "rb") as f:
        data = f.read()
    (length,) = struct.unpack("<Q", data[:8])
    header, types = json.loads(data[8 : 8 + length]), {"F32": torch.float32, "F64": torch.float64}
    tensors = {}
    for name, entry in header.items():
        if name != "__metadata__" and entry["dtype"] in types:
            begin, end = (8 + length + offset for offset in entry["data_offsets"])
            values = torch.frombuffer(bytearray(data[begin:end]), dtype=types[entry["dtype"]])
            tensors[name] = values.reshape(entry["shape"])
    return tensors


def read_selection(selection, space, seed):
    if selection == "random":
        return random_alpha(space, seed)
    tensors = read_safetensors(selection)
    return [tensors["alphas_normal"], tensors["alphas_reduce"]]


def write_selection(path, matrices):
    """The matrices of both cell types, (14, K) each, as `nasp bench step --save-selection` writes them."""
    data = [matrix.detach().to("cpu", torch.float32).contiguous() for matrix in matrices]
    header, end = {}, 0
    for name, matrix in zip(("alphas_normal", "alphas_reduce"), data):
        begin, end = end, end + 4 * matrix.numel()
        header[name] = {"dtype": "F32", "shape": list(matrix.shape), "data_offsets": [begin, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(len(text).to_bytes(8, "little") + text)
        for matrix in data:
            f.write(matrix.numpy().tobytes())


def mix(D, names):
    """{"operation": edges} of the kept edges."""
    counts = {}
    for k in D.nonzero()[:, 1].tolist():
        counts[names[k]] = counts.get(names[k], 0) + 1
    return counts


def peak_bytes():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def choose_device(name):
    """All tensors and modules from here on lie there; float32 is float32, as in the package."""
    torch.set_default_device(name)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False


def clock():
    """Seconds, once the device has done what was asked of it."""
    if torch.get_default_device().type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def machine():
    model = platform.processor() or platform.machine()
    try:
        with open("/proc/cpuinfo") as f:
            model = next(line.split(":")[1].strip() for line in f if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    return {"cpu": model, "threads": torch.get_num_threads(), "isa": torch.backends.cpu.get_cpu_capability(),
            "runtime": f"PyTorch {torch.__version__}",
            "device": torch.cuda.get_device_name() if torch.get_default_device().type == "cuda" else "cpu"}
