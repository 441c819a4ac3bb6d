"""Money: what a worker costs, what a training has cost and will cost, what a budget pays for, what RunPod billed."""
