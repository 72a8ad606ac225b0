"""Follows a session from another program: python examples/follow.py URL."""

import sys

import anyio

from agentprogress.client import FollowState, follow
from agentprogress.errors import FollowError, NoResult


def say(state: FollowState) -> None:
    print(f"-- {state}", file=sys.stderr)


async def main(url: str) -> int:
    async with follow(url, on_state=say) as feed:
        try:
            async for event in feed.events():
                print(event.seq, event.type)
            print(await feed.result())
        except NoResult as error:
            print(error, file=sys.stderr)
            return 1
        except FollowError as error:
            print(f"{error} ({error.kind})", file=sys.stderr)
            return 3
    return 0


if __name__ == "__main__":
    sys.exit(anyio.run(main, sys.argv[1]))
