"""What can be asked of a policy: the actions, the type of resource of each, and the ARN that a request is about.

Knows nothing of documents. Source: "AWS IoT Core policy actions" and "action resources" in the developer guide.
"""

from collections.abc import Mapping
from enum import StrEnum
from functools import lru_cache
from typing import Final

from troth.errors import Fault, Kind
from troth.names import Realm

_BEGINNINGS_KEPT: Final = 64


class Action(StrEnum):
    """Every action that a request can ask for. The job actions have two spellings; each is decided as it is spelled."""

    CONNECT = "iot:Connect"
    DELETE_CONNECTION = "iot:DeleteConnection"
    PUBLISH = "iot:Publish"
    RETAIN_PUBLISH = "iot:RetainPublish"
    SUBSCRIBE = "iot:Subscribe"
    RECEIVE = "iot:Receive"
    GET_RETAINED_MESSAGE = "iot:GetRetainedMessage"
    LIST_RETAINED_MESSAGES = "iot:ListRetainedMessages"
    GET_THING_SHADOW = "iot:GetThingShadow"
    UPDATE_THING_SHADOW = "iot:UpdateThingShadow"
    DELETE_THING_SHADOW = "iot:DeleteThingShadow"
    LIST_NAMED_SHADOWS_FOR_THING = "iot:ListNamedShadowsForThing"
    DESCRIBE_JOB_EXECUTION = "iotjobsdata:DescribeJobExecution"
    GET_PENDING_JOB_EXECUTIONS = "iotjobsdata:GetPendingJobExecutions"
    START_NEXT_PENDING_JOB_EXECUTION = "iotjobsdata:StartNextPendingJobExecution"
    UPDATE_JOB_EXECUTION = "iotjobsdata:UpdateJobExecution"
    DESCRIBE_JOB_EXECUTION_2022 = "iot:DescribeJobExecution"
    GET_PENDING_JOB_EXECUTIONS_2022 = "iot:GetPendingJobExecutions"
    START_NEXT_PENDING_JOB_EXECUTION_2022 = "iot:StartNextPendingJobExecution"
    UPDATE_JOB_EXECUTION_2022 = "iot:UpdateJobExecution"
    ASSUME_ROLE_WITH_CERTIFICATE = "iot:AssumeRoleWithCertificate"


_FOLDED: Final[Mapping[str, Action]] = {action.lower(): action for action in Action}
_TYPES: Final[Mapping[Action, str]] = dict.fromkeys(Action, "thing") | {
    Action.CONNECT: "client",
    Action.DELETE_CONNECTION: "client",
    Action.PUBLISH: "topic",
    Action.RETAIN_PUBLISH: "topic",
    Action.SUBSCRIBE: "topicfilter",
    Action.RECEIVE: "topic",
    Action.GET_RETAINED_MESSAGE: "topic",
    Action.ASSUME_ROLE_WITH_CERTIFICATE: "rolealias",
}


def parse_action(text: str) -> Action:
    """Return the action that `text` names, in any case. Raises `Fault` (unsupported)."""
    action = _FOLDED.get(text.lower())
    if action is None:
        raise Fault(
            Kind.UNSUPPORTED,
            f"{text[:60]!r} is not an action that a policy decides",
            hint=f"use one of {', '.join(Action)}",
        )
    return action


def request_resource(action: Action, name: str) -> str:
    """Return what a request is about, such as ``topic/home/x``; a named shadow has the name ``THING/SHADOW``.

    `iot:ListRetainedMessages` is about everything, whatever the name: ``*``.
    """
    return "*" if action is Action.LIST_RETAINED_MESSAGES else f"{_TYPES[action]}/{name}"


@lru_cache(_BEGINNINGS_KEPT)
def arn_beginning(realm: Realm, action: Action) -> str:
    """Return `request_arn` of no name: one text for all who are asked about, since each keeps five of them."""
    return request_arn(realm, action, "")


def request_arn(realm: Realm, action: Action, name: str) -> str:
    """Return the text that the resources of a policy are matched against."""
    return "*" if action is Action.LIST_RETAINED_MESSAGES else realm.arn(_TYPES[action], name)
