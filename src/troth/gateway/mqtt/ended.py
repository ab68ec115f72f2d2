"""How an exchange says that its conversation is over."""

from troth.gateway.refusal import Reason


class Ended(Exception):
    """The conversation is over. What was put out before still goes."""

    def __init__(self, reason: Reason, detail: str = "") -> None:
        super().__init__(reason.value)
        self.reason = reason
        self.detail = detail
