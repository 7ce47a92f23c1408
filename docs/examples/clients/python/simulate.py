"""Asks the planner as an autoscaler would: what do DaemonSets request on nodes that don't exist yet, and which of these
nodes is the cheapest that has room for a pod?"""

import re
import sys
import time
from decimal import Decimal

import grpc
from google.protobuf import json_format
from google.rpc import error_details_pb2
from grpc_status import rpc_status

sys.path.insert(0, f"{sys.path[0]}/gen")
from everynode.planner.v1 import facts_pb2, planner_pb2, planner_pb2_grpc, session_pb2

# Node templates in order of price: an m5.large in an unknown zone, and a node with a GPU and a taint.
TEMPLATES = [
    planner_pb2.NodeTemplate(
        name="m5.large",
        labels={"kubernetes.io/os": "linux"},
        capacity={"cpu": "1930m", "memory": "7097Mi", "pods": "29"},
        unknown_labels=["topology.kubernetes.io/zone"],
    ),
    planner_pb2.NodeTemplate(
        name="g5.xlarge",
        labels={"kubernetes.io/os": "linux", "topology.kubernetes.io/zone": "eu-1a"},
        taints=[facts_pb2.Taint(key="nvidia.com/gpu", value="present", effect="NoSchedule")],
        capacity={"cpu": "3920m", "memory": "15096Mi", "pods": "58", "nvidia.com/gpu": "1"},
    ),
]
UNITS = {"": "1", "m": "0.001"} | {unit: 1000**power for power, unit in enumerate("kMGTPE", 1)}
UNITS |= {f"{unit}i": 1024**power for power, unit in enumerate("KMGTPE", 1)}


def main(address, path, *arguments):
    wanted = {"pods": "1"} | dict(argument.split("=") for argument in arguments)
    with sys.stdin if path == "-" else open(path) as file:
        request = json_format.Parse(f'{{"daemon_sets": [{file.read()}]}}', planner_pb2.SimulateNodesRequest())
    request.node_templates.extend(TEMPLATES)
    with grpc.insecure_channel(address) as channel:
        answer = simulate(planner_pb2_grpc.PlannerServiceStub(channel), request)

    demands = {demand.daemon_set: demand.requests for demand in answer.daemon_sets}
    fitting = [node.node_template for node in answer.nodes if fits(node, demands, wanted)]
    for node in answer.nodes:
        print(f"{node.node_template}\n  runs {', '.join(node.daemon_sets)}")
        print(f"  takes {listed(node.requests)}\n  left {listed(node.left)}")
        for conflict in node.conflicts:
            print(f"  only one gets port {conflict.host_port.port}: {', '.join(conflict.daemon_sets)}")
        for undecided in node.undecided:
            print(f"  perhaps {undecided.daemon_set}: {undecided.message}")
    for problem in answer.problems:
        print(f"{code(problem)} {problem.object}: {problem.message}")
    print(f"a pod with {listed(wanted)} fits on {fitting[0] if fitting else 'none of them'}")


def simulate(stub, request, attempts=5):
    """Retries after RetryInfo's delay if the planner is busy. Without RetryInfo the request itself is too large."""
    for attempt in range(1, attempts + 1):
        try:
            return stub.SimulateNodes(request, timeout=10)
        except grpc.RpcError as error:
            delay = retry_delay(error)
            if delay is None or attempt == attempts:
                raise
            print(f"the planner is busy: asking again in {delay:g}s", file=sys.stderr)
            time.sleep(delay)


def retry_delay(error):
    status = rpc_status.from_call(error) if error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED else None
    retry = error_details_pb2.RetryInfo()
    for detail in status.details if status else []:
        if detail.Unpack(retry):
            return retry.retry_delay.ToTimedelta().total_seconds()


def fits(node, demands, wanted):
    """Counts undecided DaemonSets as running: a node that is too large is better than a pod that stays pending."""
    perhaps = [demands[undecided.daemon_set] for undecided in node.undecided]

    def left(name):
        return number(node.left.get(name, "0")) - sum(number(demand.get(name, "0")) for demand in perhaps)

    return all(left(name) >= number(quantity) for name, quantity in wanted.items())


def number(quantity):
    """Parses a Kubernetes quantity, such as -100m or 2Gi."""
    digits, unit = re.fullmatch(r"([-+.\d]+(?:[eE][-+]?\d+)?)(\w*)", quantity).groups()
    return Decimal(digits) * Decimal(UNITS[unit])


def code(problem):
    """Returns the name of the code, or its number if the planner is newer than this program."""
    known = session_pb2.ProblemCode.DESCRIPTOR.values_by_number.get(problem.code)
    return known.name if known else problem.code


def listed(resources):
    return ", ".join(f"{name} {resources[name]}" for name in sorted(resources))


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit("usage: simulate.py HOST:PORT FILE|- [RESOURCE=QUANTITY...] (the file: kubectl get daemonsets -A -o json)")
    main(*sys.argv[1:])
