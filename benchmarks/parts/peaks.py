"""Operations a second that cards can do at most, of products of dense matrices."""

# By a part of the name that JAX gives the device, the more special name first: bfloat16, and float32 as JAX computes it
# by default (TF32 on NVIDIA's, bfloat16 on TPUs). From the makers' data sheets, without sparsity, for one device.
PEAKS = {
    "H100 PCIe": (756e12, 378e12),
    "H100 NVL": (835e12, 418e12),
    "H100": (989e12, 494e12),
    "H200": (989e12, 494e12),
    "A100": (312e12, 156e12),
    "L4": (121e12, 60e12),
    "TPU v4": (275e12, 275e12),
    "TPU v5 lite": (197e12, 197e12),
    "TPU v5": (459e12, 459e12),
    "TPU v6 lite": (918e12, 918e12),
}


def peak(kind: str, compute: str) -> float | None:
    """FLOP/s of a device by its name, in "bfloat16" or "float32"; None: not in the table."""
    names = [name for name in PEAKS if f" {name} " in f" {kind.replace('-', ' ')} "]
    return PEAKS[names[0]][compute == "float32"] if names else None
