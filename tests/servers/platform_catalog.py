"""A small catalog in the form of RunPod's: made-up stock, prices of the right size."""

from __future__ import annotations

from typing import Any

#: Data center by id: kinds of volumes, and the stock of each GPU there.
_PLACES: dict[str, tuple[list[str], dict[str, str]]] = {
    # No volumes.
    "CA-MTL-1": ([], {"NVIDIA GeForce RTX 4090": "HIGH"}),
    # Volumes, but no S3.
    "EU-SE-1": (["STANDARD"], {"NVIDIA GeForce RTX 4090": "HIGH", "NVIDIA A40": "HIGH"}),
    "EU-RO-1": (["STANDARD"], {"NVIDIA GeForce RTX 4090": "HIGH", "NVIDIA L40S": "MEDIUM"}),
    "US-KS-2": (
        ["STANDARD", "HIGH_PERFORMANCE"],
        {"NVIDIA A40": "MEDIUM", "NVIDIA L40S": "HIGH", "NVIDIA A100-SXM4-80GB": "LOW"},
    ),
}

#: Id, name, pool, GB, price of a serverless hour.
_TYPES = [
    ("NVIDIA RTX A4000", "RTX A4000", "AMPERE_16", 16, 0.58),
    ("NVIDIA RTX A5000", "RTX A5000", "AMPERE_24", 24, 0.69),
    ("NVIDIA GeForce RTX 4090", "RTX 4090", "ADA_24", 24, 1.1),
    ("NVIDIA A40", "A40", "AMPERE_48", 48, 1.22),
    ("NVIDIA L40S", "L40S", "ADA_48_PRO", 48, 1.9),
    ("NVIDIA A100-SXM4-80GB", "A100 SXM", "AMPERE_80", 80, 2.72),
    ("NVIDIA RTX PRO 6000", "RTX PRO 6000", None, 96, None),
]


def _gpu(gpu_id: str, name: str, pool: str | None, memory: int, price: float | None) -> dict[str, Any]:
    places = [
        {"id": place, "name": place, "availability": stock[gpu_id]}
        for place, (_, stock) in _PLACES.items()
        if gpu_id in stock
    ]
    levels = [place["availability"] for place in places]
    best = next((level for level in ("HIGH", "MEDIUM", "LOW") if level in levels), "NONE")
    prices = {"secure": 0.5, "community": 0.4}
    gpu: dict[str, Any] = {
        "id": gpu_id,
        "name": name,
        "pool": pool,
        "manufacturer": "NVIDIA",
        "memory": memory,
        "secure": True,
        "community": True,
        "maxCount": {"secure": 8, "community": 4},
        "price": prices if price is None else {**prices, "serverless": price},
        "availability": best,
    }
    return {**gpu, "dataCenters": places} if places else gpu


GPUS: list[dict[str, Any]] = [_gpu(*each) for each in _TYPES]

CPUS: list[dict[str, Any]] = [
    {
        "id": cpu_id,
        "name": name,
        "group": "Gen 5",
        "vcpu": {"min": 2, "max": 32},
        "ramGbPerVcpu": ram,
        "price": {"securePerVcpu": price, "serverlessPerVcpu": price},
        "availability": "HIGH",
        "dataCenters": [{"id": place, "name": place, "availability": "HIGH"} for place in places],
    }
    for cpu_id, name, ram, price, places in (
        ("cpu3c", "Compute-Optimized", 2.0, 0.03, ["EU-RO-1"]),
        ("cpu5c", "Compute-Optimized", 2.0, 0.035, ["EU-RO-1", "US-KS-2"]),
        ("cpu3g", "General Purpose", 4.0, 0.04, ["US-KS-2"]),
    )
]

DATA_CENTERS: list[dict[str, Any]] = [
    {
        "id": place,
        "name": place,
        "region": "EUROPE",
        "globalNetwork": False,
        "compliance": [],
        "networkVolumeTypes": kinds,
    }
    for place, (kinds, _) in _PLACES.items()
]
