"""A Ray cluster of several nodes in one machine, told what to do on stdin; run as a script.

    python tests/support/ray_cluster.py NODES

Prints its address; the line `kill` kills a node with all its processes; the end of stdin ends all.
"""

from __future__ import annotations

import os
import sys

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")


def main() -> None:
    """Serve until stdin ends."""
    from ray.cluster_utils import Cluster

    cluster = Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": 0, "object_store_memory": 80 * 2**20},
    )
    nodes = [
        cluster.add_node(num_cpus=1, object_store_memory=80 * 2**20)
        for _ in range(int(sys.argv[1]))
    ]
    cluster.wait_for_nodes()
    print(f"address {cluster.address}", flush=True)
    for line in sys.stdin:
        if line.strip() == "kill":
            cluster.remove_node(nodes.pop(), allow_graceful=False)
            print("killed", flush=True)
    cluster.shutdown()


if __name__ == "__main__":
    main()
