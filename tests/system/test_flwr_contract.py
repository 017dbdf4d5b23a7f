"""What the two adapters take from flwr 1.41 that its documentation does not promise. A change of flwr fails here first, and by name.

Nothing of flwr is imported before a test runs: it takes seconds, and is an extra.
"""

import importlib
import inspect
import subprocess
import sys
import typing
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final, cast

import pytest

from coordinator import gateway
from coordinator.superlink import SuperLink
from protocols import flower
from tests.architecture.source import ROOT, Module

pytest.importorskip("flwr", reason="flwr is not installed: the extra `flower`")

ADAPTERS: Final = ("coordinator/link_flower.py", "node/link_flower.py")
PARAMETERS: Final = {
    "flwr.supernode.fleet_http_connection:http_request_response": [
        "server_address",
        "insecure",
        "root_certificates",
        "authentication_keys",
        "max_retries",
        "max_wait_time",
    ],
    "flwr.supercore.protobuf.client:ProtobufClient.from_server_address": [
        "server_address",
        "insecure",
        "root_certificates",
        "interceptors",
        "retry_invoker",
    ],
    "flwr.supernode.node_auth_http_interceptor:NodeAuthHttpInterceptor": ["private_key", "public_key"],
    "flwr.supercore.interceptors:RuntimeVersionHttpInterceptor": ["component_name"],
    "flwr.supercore.interceptors:SuperExecAuthHttpInterceptor": ["master_secret", "protected_methods"],
    "flwr.superlink.grid:HttpGrid": ["runtime_api_address", "insecure", "root_certificates", "token"],
    "flwr.app.message:make_message": ["metadata", "content", "error"],
    "flwr.app:Error": ["code", "reason"],
    "flwr.app:Metadata": [
        "run_id",
        "message_id",
        "src_node_id",
        "dst_node_id",
        "reply_to_message_id",
        "group_id",
        "created_at",
        "ttl",
        "message_type",
        "src_task_id",
        "dst_task_id",
    ],
    "flwr.supercore.inflatable.inflatable_object:get_all_nested_objects": ["obj"],
    "flwr.supercore.inflatable.inflatable_object:get_object_tree": ["obj"],
    "flwr.common.serde:run_from_proto": ["run_proto"],
    "flwr.common.serde:message_from_proto": ["message_proto"],
    "flwr.common.serde:message_to_proto": ["message"],
    "flwr.app.message:remove_content_from_message": ["message"],
    "flwr.supercore.interceptors:RuntimeTokenHttpInterceptor": ["token"],
    "flwr.supercore.inflatable.inflatable_protobuf_utils:make_pull_object_fn_protobuf": [
        "pull_object_protobuf",
        "node",
        "run_id",
    ],
    "flwr.supercore.inflatable.inflatable_protobuf_utils:make_push_object_fn_protobuf": [
        "push_object_protobuf",
        "node",
        "run_id",
        "session_id",
    ],
    "flwr.supercore.inflatable.inflatable_protobuf_utils:make_confirm_message_received_fn_protobuf": [
        "confirm_message_received_protobuf",
        "node",
        "run_id",
    ],
    "flwr.serverapp:ServerApp.main": [],
    "flwr.clientapp:ClientApp.query": ["action", "mods"],
    "flwr.serverapp.grid:Grid.push_messages": ["messages"],
    "flwr.serverapp.grid:Grid.pull_messages": ["message_ids"],
    "flwr.serverapp.grid:Grid.get_node_ids": [],
    "flwr.serverapp.grid:Grid.get_nodes": [],
    "flwr.app:Context": ["run_id", "node_id", "node_config", "state", "run_config", "series_id"],
}
CONTROL: Final = """
accept-invitation add-app add-node-to-federation archive-federation begin-connector-oauth complete-connector-oauth
configure-simulation-federation create-federation create-invitation disconnect-connector get-auth-tokens
get-login-details get-run-series list-app-associations list-apps list-automations list-connectors list-federations
list-invitations list-nodes list-run-series list-run-series-events list-runs pull-artifacts refresh-auth-tokens
register-node reject-invitation remove-account-from-federation remove-app remove-node-from-federation
revoke-invitation set-federation-icon show-federation start-automation start-run stop-automation stop-run
stream-logs stream-run-events unregister-node update-run-series-description
"""
RUNTIME: Final = """
acquire-task confirm-message-received create-task get-compacted-contexts get-connector get-nodes
get-run-series-events pull-messages pull-object pull-task-input pull-task-message push-logs push-messages
push-object push-task-events push-task-message push-task-output put-compacted-context record-task-usage responses
send-task-heartbeat start-automation
"""
ROUTES: Final = {
    "fleet": {*gateway.FLEET, *gateway.COURIER, "register-node", "unregister-node"},
    "control": set(CONTROL.split()),
    "runtime": set(RUNTIME.split()),
}


def taken(name: str) -> Any:
    module, _, path = name.partition(":")
    found: Any = importlib.import_module(module)
    for part in path.split("."):
        found = getattr(found, part)
    return found


def test_the_version_is_the_one_that_this_file_speaks_of() -> None:
    assert version("flwr").startswith("1.41.")


@pytest.mark.parametrize("path", ADAPTERS)
def test_every_name_that_an_adapter_imports_exists(path: str) -> None:
    module = Module(path.removesuffix(".py").replace("/", "."), (ROOT / path).read_text(encoding="utf-8"))
    names = sorted(name for name in module.imports if name.split(".")[0] == "flwr")
    assert len(names) > 10
    for name in names:
        try:
            importlib.import_module(name)
        except ModuleNotFoundError:
            holder, _, last = name.rpartition(".")
            assert hasattr(importlib.import_module(holder), last), name


@pytest.mark.parametrize("name", PARAMETERS)
def test_what_is_called_takes_what_it_is_given(name: str) -> None:
    given = [each for each in inspect.signature(taken(name)).parameters if each not in ("self", "cls")]
    assert given == PARAMETERS[name]


def test_a_connection_gives_eight_calls_in_the_order_that_the_link_reads_them() -> None:
    from node.link_flower import Fleet

    hints = typing.get_type_hints(inspect.unwrap(taken("flwr.supernode.fleet_http_connection:http_request_response")))
    (eight,) = typing.get_args(hints["return"])
    calls = typing.get_args(eight)
    assert len(calls) == 8 == len(Fleet.__dataclass_fields__)
    assert [typing.get_args(call)[0] if typing.get_args(call) else call for call in calls[1:]] == [
        [],
        [taken("flwr.app:Message"), taken("flwr.proto.message_pb2:ObjectTree"), float],
        [int],
        [str, int],
        [int, str],
        [int, str, str, bytes],
        [int, str],
    ]


def test_error_codes_mean_what_they_meant() -> None:
    codes = taken("flwr.common.constant:ErrorCode")
    assert {name: value for name, value in vars(codes).items() if name.isupper()} == {
        "UNKNOWN": 0,
        "LOAD_CLIENT_APP_EXCEPTION": 1,
        "CLIENT_APP_RAISED_EXCEPTION": 2,
        "MESSAGE_UNAVAILABLE": 3,
        "REPLY_MESSAGE_UNAVAILABLE": 4,
        "NODE_UNAVAILABLE": 5,
        "MOD_FAILED_PRECONDITION": 6,
        "INVALID_FAB": 7,
        "CLIENT_APP_CRASHED": 8,
    }
    reasons = taken("coordinator.link_flower:REASONS")
    assert set(reasons) == set(range(1, 9))


def test_a_node_is_believed_online_for_a_minute_and_a_signature_for_five() -> None:
    constants = importlib.import_module("flwr.common.constant")
    assert (constants.HEARTBEAT_DEFAULT_INTERVAL, constants.HEARTBEAT_PATIENCE) == (30, 2)
    assert (constants.TIMESTAMP_TOLERANCE, constants.SYSTEM_TIME_TOLERANCE) == (300, 5)
    assert constants.SUPERLINK_NODE_ID == 1


def test_the_private_names_that_are_replaced_are_there() -> None:
    """`_retry_invoker` and `_runtime_client` of the grid, `_client` of a client, `_message_id` of a message."""
    grid = taken("flwr.superlink.grid:HttpGrid")("127.0.0.1:1", True, token="none")  # noqa: S106 no secret
    assert {"_retry_invoker", "_client"} <= vars(grid).keys()
    grid._retry_invoker = None
    client = grid._runtime_client
    assert client._retry_invoker is None
    assert "_client" in vars(client)
    grid.close()
    metadata = taken("flwr.app:Metadata")(1, "", 1, 2, "", "", 1.0, 1.0, flower.MESSAGE_TYPE)
    assert "_message_id" in vars(metadata)


def test_the_media_type_is_the_one_that_the_gateway_lets_through() -> None:
    assert taken("flwr.supercore.protobuf.constants:PROTOBUF_MEDIA_TYPE").encode() == gateway.PROTOBUF


def test_routes_are_the_ones_that_somebody_decided_about() -> None:
    """The gateway passes no new route; that there is one is to be looked at by a person."""
    from fastapi.routing import iter_route_contexts
    from flwr.superlink.main import create_app

    found: list[Any] = list(iter_route_contexts(create_app().routes))
    paths = {getattr(each, "path", None) or each.route.path for each in found}
    expected = {f"/v1/{api}/{name}" for api, names in ROUTES.items() for name in names}
    assert paths == expected | {"/docs", "/docs/oauth2-redirect", "/health", "/openapi.json"}
    assert {path.decode() for path in gateway.paths(courier=True)} < expected


def test_flags_of_the_superlink_exist_and_none_is_deprecated() -> None:
    parser = taken("flwr.superlink.cli.flower_superlink:_parse_args_run_superlink")()
    somewhere = Path("x")
    command = SuperLink(1, somewhere, somewhere, somewhere, somewhere, "state.db").command()[1:]
    told = parser.parse_args(command)
    assert (told.host, told.port, told.isolation, told.database) == ("127.0.0.1", 1, "process", "state.db")
    assert told.enable_supernode_auth
    assert not told.runtime_dependency_install
    helps = {option: action.help or "" for action in parser._actions for option in action.option_strings}
    used = [word for word in command if word.startswith("--")]
    assert not [word for word in used if "eprecated" in helps[word].split("Use")[0] and "disable" not in word]


def test_flags_of_a_supernode_are_those_that_a_city_is_told() -> None:
    from node.deployed.host import beside
    from node.link_flower import PARTITION
    from protocols.roster import Roster

    somewhere = Path("x")
    nowhere: Any = SimpleNamespace(entries=SimpleNamespace(gateway=("hpf.example.cn:8443",)))
    command = beside(somewhere, cast(Roster, nowhere), somewhere / "secret", 9094).split()
    found = taken("flwr.supernode.cli.flower_supernode:_parse_args_run_supernode")().parse_args(command[1:])
    assert (command[0], found.superlink, found.isolation) == ("flower-supernode", "hpf.example.cn:8443", "process")
    assert (found.host, found.port, found.superexec_auth_secret_file) == ("127.0.0.1", 9094, "x/secret")
    assert taken("flwr.common.constant:PARTITION_ID_KEY") == PARTITION
    assert taken("flwr.supercore.constant:TaskType").CLIENT_APP


def test_environment_variables_that_keep_it_quiet_are_read() -> None:
    package = Path(str(importlib.import_module("flwr").__file__)).parent
    text = "".join(path.read_text(encoding="utf-8") for path in package.rglob("*.py"))
    assert [name for name in flower.QUIET if "FLWR" in name and f'"{name}"' not in text] == []


def test_apps_stand_in_literal_statements_where_flower_looks_for_them() -> None:
    for path, kind in zip(ADAPTERS, ("ServerApp", "ClientApp"), strict=True):
        assert f"\napp = {kind}()\n" in (ROOT / path).read_text(encoding="utf-8")
    assert taken("coordinator.link_flower:app")._main is taken("coordinator.link_flower:main")
    assert taken("node.link_flower:app")._registered_funcs == {flower.MESSAGE_TYPE: taken("node.link_flower:query")}


def test_the_bundle_of_a_courier_run_holds_no_code() -> None:
    import io
    import zipfile

    from flwr.common.config import get_fab_config

    from coordinator.link_flower import bundle

    content = bundle()
    assert content == bundle()
    assert zipfile.ZipFile(io.BytesIO(content)).namelist() == ["README.md", "pyproject.toml"]
    components = get_fab_config(content)["tool"]["flwr"]["app"]["components"]
    assert components == {"serverapp": "coordinator.link_flower:app", "clientapp": "node.link_flower:app"}


@pytest.mark.parametrize("module", ["simulations.gate_process", "node.link"])
def test_nothing_that_a_gate_runs_in_has_loaded_a_network_client(module: str) -> None:
    program = f"import {module}, sys; print(*sorted({{'flwr','httpx','uvicorn','grpc'}} & sys.modules.keys()))"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)  # noqa: S603 our own
    assert ran.stdout.strip() == ""
